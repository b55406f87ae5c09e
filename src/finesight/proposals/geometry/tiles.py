"""Cuts a very large image into tiles, each of which is looked at like an image of its own."""

import numpy as np

TILE = 4096
"""The longest side of a tile, in pixels."""

LARGE = 2 * TILE
"""An image with a side longer than this is looked at in tiles."""


def is_large(width: int, height: int) -> bool:
    """Whether an image of so many pixels is looked at in tiles."""
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


def tiles(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return the tiles of an image, xyxy in pixels, row by row.

    They overlap by an eighth at least, so that what one cuts in two is whole in another. They
    begin at multiples of `overview_factor`, so that each shrinks to whole pixels of the overview.
    """
    factor = overview_factor(width, height)
    xs, ys = (_starts(side, factor) for side in (width, height))
    return [(x, y, min(x + TILE, width), min(y + TILE, height)) for y in ys for x in xs]


def _starts(side: int, factor: int) -> list[int]:
    if side <= TILE:
        return [0]
    count = int(np.ceil((side - TILE) / (TILE * 7 / 8))) + 1
    # Rounded up: the last one still reaches the border, as tiles are cut off there.
    exact = np.arange(count) * (side - TILE) / (count - 1)
    return [int(start) for start in np.ceil(exact / factor) * factor]
