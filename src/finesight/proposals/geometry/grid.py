"""A plain grid: n x n windows that touch and do not overlap, as ViT cuts an image."""

import numpy as np

from finesight.errors import InputError
from finesight.types import WHOLE, Float32


def grid(width: int, height: int, n: int) -> Float32:
    """Return the boxes (1 + n * n, 4), normalised xyxy: the whole image, then row by row.

    The size of the image does not matter to normalised boxes; it is an argument so that every
    scheme is called alike.
    """
    if width < 1 or height < 1:
        raise InputError(f"an image has at least 1 x 1 pixels, got {width} x {height}")
    if n < 1:
        raise InputError(f"a grid needs n >= 1, got {n}")
    edges = np.arange(n + 1) / n
    left, top = (axis.ravel() for axis in np.meshgrid(edges[:-1], edges[:-1]))
    right, bottom = (axis.ravel() for axis in np.meshgrid(edges[1:], edges[1:]))
    cells = np.stack([left, top, right, bottom], axis=1)
    return np.concatenate([[WHOLE], cells]).astype(np.float32)
