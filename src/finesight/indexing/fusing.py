"""The vectors that stand for an image, by which it is found."""

import numpy as np

from finesight.models import Model
from finesight.types import Float32, ImageVectors

_REGIONS = 512
"""An image with more regions, which is one of many tiles, is fused in runs of so many."""


def fuse(model: Model, seen: ImageVectors, vectors: int) -> Float32:
    """Return the vectors kept of an image: k, or k for each run of regions of a very large one.

    Regions come tile by tile, so that a run is a part of the image; region 0, the whole image,
    begins each.
    """
    count = len(seen.boxes)
    if count <= _REGIONS:
        return model.fuse(seen, vectors)
    runs = np.array_split(np.arange(1, count), -(-count // _REGIONS))
    rows = [np.concatenate([[0], run]) for run in runs]
    parts = [ImageVectors(seen.boxes[row], seen.embeddings[row]) for row in rows]
    return np.concatenate([model.fuse(part, vectors) for part in parts])
