"""The region around a known box: what a perfect detector would give (DetailCLIP's "patch-obj")."""

import numpy as np

from finesight.boxes import squares_around
from finesight.types import Box

MARGIN = 1.12
"""Side of the square over the box's longer side (METHODS.md, 1)."""


def square_around(box: Box, width: int, height: int) -> Box:
    """Return the normalised square around one box of an image of so many pixels.

    Its side is MARGIN x the box's longer side: see `squares_around`.
    """
    x0, y0, x1, y1 = squares_around(np.array([box], np.float64), width, height, MARGIN)[0].tolist()
    return x0, y0, x1, y1
