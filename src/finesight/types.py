"""The records that travel between rooms: small, frozen, without logic."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

Box = tuple[float, float, float, float]
"""A region of an image: (x0, y0, x1, y1), each in 0..1, with x0 < x1 and y0 < y1."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
"""The box of the whole image, which is region 0 of every image."""


@dataclass(frozen=True)
class ImageVectors:
    """What was seen in one image.

    boxes: (p, 4) normalised xyxy, boxes[0] is the whole image.
    embeddings: (p, d), L2-normalised.
    """

    boxes: Float32
    embeddings: Float32


@dataclass(frozen=True)
class Hit:
    """One image that answers a query: its rank from 1, its score and its best region."""

    rank: int
    score: float
    path: Path
    box: Box
    id: str
    width: int
    height: int
