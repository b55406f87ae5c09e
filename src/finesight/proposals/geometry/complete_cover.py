"""Complete Cover: square-celled windows that hold objects of every size (DetailCLIP, 3.3).

`CC@c` cuts each axis into c cells. A level has m x m windows of j cells a side; the levels are
the distinct values of m in {1, c} and floor(c/j) + 1 for 2 <= j < c.
"""

from typing import Literal

import numpy as np

from finesight.errors import InputError
from finesight.types import Float32

Spacing = Literal["paper", "even"]


def levels(c: int) -> list[tuple[int, int]]:
    """Return (windows per side, cells per window side) of every level, coarse to fine.

    >>> levels(10)
    [(1, 10), (2, 6), (3, 4), (4, 3), (6, 2), (10, 1)]
    """
    if c < 1:
        raise InputError(f"Complete Cover needs c >= 1, got {c}")
    windows = sorted({1, c} | {c // j + 1 for j in range(2, c)})
    return [(m, c if m == 1 else 1 if m == c else c // m + 1) for m in windows]


def complete_cover(width: int, height: int, c: int, spacing: Spacing = "even") -> Float32:
    """Return the boxes (p, 4) of CC@c for an image of width x height pixels.

    Boxes are normalised xyxy; the first one is the whole image, then level by level, row by row.
    spacing="even" spreads the windows of a level from border to border; "paper" steps by
    w - (j - 1) pixels, as the authors' code does, with the last window at the border, on the
    image resized so that each side is a multiple of c pixels.
    """
    if width < 1 or height < 1:
        raise InputError(f"an image has at least 1 x 1 pixels, got {width} x {height}")
    if spacing not in ("paper", "even"):
        raise InputError(f"spacing is 'paper' or 'even', got {spacing!r}")
    boxes = []
    for m, j in levels(c):
        x0, y0 = (_starts(m, j, c, max(1, round(side / c)), spacing) for side in (width, height))
        left, top = (grid.ravel() for grid in np.meshgrid(x0, y0))
        boxes.append(np.stack([left, top, left + j / c, top + j / c], axis=1))
    return np.clip(np.concatenate(boxes), 0.0, 1.0).astype(np.float32)


def _starts(m: int, j: int, c: int, cell_px: int, spacing: Spacing) -> np.ndarray:
    """Return where the m windows of j cells begin on an axis of c cells, in 0..1."""
    if m == 1:
        return np.zeros(1)
    order = np.arange(m)
    if spacing == "even":
        return order * (c - j) / ((m - 1) * c)
    length, window = c * cell_px, j * cell_px
    starts = np.minimum(order * (window - (j - 1)), length - window)
    # On cells of a few pixels the steps end before the border: the last window always reaches it.
    starts[-1] = length - window
    return starts / length
