"""Look closer where an image is unlike itself: coarse to fine, without labels or training.

All windows of a coarse level of Complete Cover are encoded first. Their median is what most of the
image looks like, its background; a window far from it holds something. Windows of the finer levels
are encoded where those that were encoded around them are far from the background.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from finesight.encoders import Encoder
from finesight.proposals.geometry.complete_cover import complete_cover, levels
from finesight.types import Float32, UInt8

CELLS = 10
"""The cover whose levels are used: sides of 0.6, 0.4, 0.3, 0.2 and 0.1 of the image's."""


@dataclass(frozen=True)
class Descent:
    """first: windows a side of the level that is encoded whole; then: finer ones, and how many."""

    first: int
    then: tuple[tuple[int, int], ...]


DESCENTS = {
    8: Descent(2, ((4, 3),)),
    16: Descent(3, ((6, 6),)),
    40: Descent(4, ((6, 14), (10, 9))),
}
"""By what they cost, the whole image included; chosen on the textured validation scenes."""


def descend(
    image: Image.Image, encoder: Encoder, descent: Descent
) -> tuple[Float32, UInt8, Float32, Float32]:
    """Return boxes (m, 4) and crops of the last windows, then boxes (n, 4) and embeddings.

    The last windows are chosen and not encoded yet, so that they go with those of other images.
    """
    cover = complete_cover(*image.size, CELLS)
    of_level = _members()
    boxes = cover[of_level[descent.first]]
    crops = encoder.preprocessing.cut(image, boxes)
    embeddings = encoder.encode_images(crops)
    for step, (level, count) in enumerate(descent.then):
        finer = cover[of_level[level]]
        chosen = finer[np.sort(_unlike(finer, boxes, embeddings)[:count])]
        crops = encoder.preprocessing.cut(image, chosen)
        if step + 1 < len(descent.then):
            boxes = np.concatenate([boxes, chosen])
            embeddings = np.concatenate([embeddings, encoder.encode_images(crops)])
    return chosen, crops, boxes, embeddings


def _unlike(finer: Float32, boxes: Float32, embeddings: Float32) -> np.ndarray:
    """Return the order of finer windows (m, 4), those first whose surroundings are unlike the rest.

    Of the windows (n, 4) that were seen, small ones and those around a finer window count most.
    """
    usual = np.median(embeddings, axis=0)
    unlike = 1 - embeddings @ usual / max(float(np.linalg.norm(usual)), 1e-9)
    low = np.maximum(finer[:, None, :2], boxes[None, :, :2])
    high = np.minimum(finer[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = (finer[:, 2:] - finer[:, :2]).prod(axis=1, keepdims=True)
    weights = shared / area / np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    return np.argsort(-(weights @ unlike) / weights.sum(axis=1), kind="stable")


def _members() -> dict[int, slice]:
    """Where the windows of each level, by how many a side, stand in the cover."""
    found, start = {}, 0
    for across, _ in levels(CELLS):
        found[across] = slice(start, start + across**2)
        start += across**2
    return found
