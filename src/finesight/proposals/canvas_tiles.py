"""Look at a very large image tile by tile, each as at an image of its own."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from finesight.encoders import Encoder
from finesight.images.open import Picture
from finesight.images.tiles import PixelBox
from finesight.proposals.geometry.tiles import overview_factor, tiles
from finesight.proposals.registry import Proposer, encode_proposals
from finesight.types import Float32, ImageVectors


def encode_tiles(
    read: Callable[[PixelBox], Image.Image],
    size: tuple[int, int],
    encoder: Encoder,
    proposer: Proposer,
    path: Path | None = None,
) -> tuple[ImageVectors, str]:
    """Return the regions of the whole image, then of each tile; and a hash of the pixels.

    read: gives the pixels of a box; size: of the image; path: of its file. One tile is in memory
    at a time, and the overview, which has at most a tile's side.
    """
    width, height = size
    factor = overview_factor(width, height)
    overview = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    digest = hashlib.blake2b(f"{width}x{height}".encode(), digest_size=16)
    boxes: list[Float32] = []
    embeddings: list[Float32] = []
    for x0, y0, x1, y1 in tiles(width, height):
        tile = read((x0, y0, x1, y1))
        digest.update(tile.tobytes())
        overview.paste(tile.reduce(factor), (x0 // factor, y0 // factor))
        part = (x0 / width, y0 / height, x1 / width, y1 / height)
        seen = encode_proposals(Picture(tile, path=path, box=part), encoder, proposer)
        scale = np.array([x1 - x0, y1 - y0] * 2)
        placed = (seen.boxes * scale + (x0, y0, x0, y0)) / np.array([width, height] * 2)
        boxes.append(np.clip(placed, 0, 1).astype(np.float32))
        embeddings.append(seen.embeddings)
    whole = encode_proposals(Picture(overview, path=path), encoder, proposer)
    return (
        ImageVectors(
            np.concatenate([whole.boxes, *boxes]), np.concatenate([whole.embeddings, *embeddings])
        ),
        digest.hexdigest(),
    )
