"""Boxes as arrays: intersections, overlap, suppression, squares; normalised xyxy unless said."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finesight.types import Box, Float32

OVERLAP = 0.45
"""Of two boxes with a higher intersection over union, the better one is kept, unless told."""

MARGIN = 1.12
"""Side of the square around a detected or known box over the box's longer side (METHODS.md, 1)."""


@dataclass(frozen=True)
class ScoredBoxes:
    """Where something may be: boxes (n, 4), normalised xyxy, and how likely, (n,) in 0..1."""

    boxes: Float32
    scores: Float32


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the areas (...) of boxes (..., 4)."""
    sides: np.ndarray = boxes[..., 2:] - boxes[..., :2]
    found: np.ndarray = sides.prod(axis=-1)
    return found


def intersections(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the areas (...) that boxes (..., 4) share with others, broadcast against them."""
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., 2:], other[..., 2:])
    shared: np.ndarray = np.clip(high - low, 0, None).prod(axis=-1)
    return shared


def intersection_over_union(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the overlap, in 0..1, of boxes (..., 4) with others, broadcast against them.

    >>> float(intersection_over_union(np.array([0, 0, 1, 1.0]), np.array([0, 0, 1, 0.5])))
    0.5
    """
    shared = intersections(one, other)
    overlap: np.ndarray = shared / np.maximum(areas(one) + areas(other) - shared, 1e-12)
    return overlap


def suppress(found: ScoredBoxes, count: int, overlap: float = OVERLAP) -> np.ndarray:
    """Return the indices of up to `count` boxes, best first, none overlapping a better one by more.

    Greedy non-maximum suppression by intersection over union; a score of 0 is no box.
    """
    left = found.scores.copy()
    kept: list[int] = []
    while len(kept) < min(count, len(left)) and left.max() > 0:
        best = int(left.argmax())
        kept.append(best)
        left[intersection_over_union(found.boxes, found.boxes[best]) > overlap] = 0
        left[best] = 0
    return np.array(kept, int)


def squares_around(
    boxes: np.ndarray, width: int, height: int, margin: float, smallest: float = 0.0
) -> np.ndarray:
    """Return the squares in pixels (n, 4), normalised, around boxes (n, 4), shifted to stay inside.

    margin: side of a square over the longer side of its box; smallest: side of the smallest, over
    the image's longer side. Where the image is narrower than its square, the box is as wide as the
    image.

    >>> squares_around(np.array([[0.2, 0.2, 0.4, 0.4]]), 100, 50, 1.5).round(2).tolist()
    [[0.15, 0.0, 0.45, 0.6]]
    """
    size = np.array([width, height], boxes.dtype)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 * size
    longest = ((boxes[:, 2:] - boxes[:, :2]) * size).max(axis=1, initial=0)
    sides = np.minimum(np.maximum(longest * margin, smallest * size.max())[:, None], size)
    low = np.clip(centres - sides / 2, 0, size - sides)
    return np.concatenate([low / size, np.minimum((low + sides) / size, 1)], axis=1)


def square_around(box: Box, width: int, height: int) -> Box:
    """Return the square around a known box: what a perfect detector would give.

    DetailCLIP's "patch-obj": normalised, of MARGIN x the box's longer side; see `squares_around`.
    """
    x0, y0, x1, y1 = squares_around(np.array([box], np.float64), width, height, MARGIN)[0].tolist()
    return x0, y0, x1, y1


def normalised(box_px: Sequence[float], width: int, height: int) -> Box:
    """Return a box (xyxy, pixels) of an image of so many pixels in shares of it, cut to 0..1.

    >>> normalised((-1, 10, 50, 20), 100, 20)
    (0.0, 0.5, 0.5, 1.0)
    """
    x0, y0, x1, y1 = (
        min(max(edge / side, 0.0), 1.0)
        for edge, side in zip(box_px, (width, height) * 2, strict=True)
    )
    return x0, y0, x1, y1
