"""Very large images, cut into tiles: each is proposed and encoded like an image of its own."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from finesight.encoders import Encoder
from finesight.images.open import Picture
from finesight.images.tiles import PixelBox
from finesight.proposals.proposer import Proposer, encode_proposals
from finesight.types import ImageVectors

TILE = 4096
"""The longest side of a tile, in pixels."""

LARGE = 2 * TILE
"""An image with a side longer than this is read in tiles."""


def is_large(width: int, height: int) -> bool:
    """Whether an image of so many pixels is read in tiles."""
    return max(width, height) > LARGE


def overview_factor(width: int, height: int) -> int:
    """Return how many times smaller the overview of an image is: a power of two.

    >>> overview_factor(20_000, 20_000)
    8
    """
    factor = 1
    while max(width, height) > TILE * factor:
        factor *= 2
    return factor


def tiles(width: int, height: int) -> list[PixelBox]:
    """Return the tiles of an image, xyxy in pixels, row by row.

    They overlap by an eighth at least, so that what one cuts in two is whole in another. They
    begin at multiples of `overview_factor`, so that each shrinks to whole pixels of the overview.
    """
    factor = overview_factor(width, height)
    xs, ys = (_starts(side, factor) for side in (width, height))
    return [(x, y, min(x + TILE, width), min(y + TILE, height)) for y in ys for x in xs]


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
    parts: list[ImageVectors] = []
    for x0, y0, x1, y1 in tiles(width, height):
        tile = read((x0, y0, x1, y1))
        digest.update(tile.tobytes())
        overview.paste(tile.reduce(factor), (x0 // factor, y0 // factor))
        part = (x0 / width, y0 / height, x1 / width, y1 / height)
        seen = encode_proposals(Picture(tile, path=path, box=part), encoder, proposer)
        scale = np.array([x1 - x0, y1 - y0] * 2)
        placed = (seen.boxes * scale + (x0, y0, x0, y0)) / np.array([width, height] * 2)
        parts.append(ImageVectors(np.clip(placed, 0, 1).astype(np.float32), seen.embeddings))
    parts.insert(0, encode_proposals(Picture(overview, path=path), encoder, proposer))
    boxes = np.concatenate([part.boxes for part in parts])
    embeddings = np.concatenate([part.embeddings for part in parts])
    return ImageVectors(boxes, embeddings), digest.hexdigest()


def _starts(side: int, factor: int) -> list[int]:
    if side <= TILE:
        return [0]
    count = int(np.ceil((side - TILE) / (TILE * 7 / 8))) + 1
    # Rounded up: the last one still reaches the border, as tiles are cut off there.
    exact = np.arange(count) * (side - TILE) / (count - 1)
    return [int(start) for start in np.ceil(exact / factor) * factor]
