"""Windows known from an image's size alone: boxes (p, 4), normalised xyxy, first the whole image.

Complete Cover holds objects of every size in square-celled windows (DetailCLIP, 3.3). `CC@c` cuts
each axis into c cells. A level has m x m windows of j cells a side; the levels are the distinct
values of m in {1, c} and floor(c/j) + 1 for 2 <= j < c.

A cover is measured, and built to measure: a box is covered when it lies whole in a window whose
longer side is at most r times its own longer side, in pixels: at the encoder the object then fills
at least 1/r of the crop. Complete Cover aims at the same and leaves gaps; `cover_rate` says how
many.

A plain grid has n x n windows that touch and do not overlap, as ViT cuts an image.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import numpy as np

from finesight.errors import InputError
from finesight.types import WHOLE, Float32

Spacing = Literal["paper", "even"]

_ASPECTS = (0.5, 2.0)  # width over height of the boxes that are tried, log-uniform
_TRIED = 1500  # boxes: a rate of .95 is then known to half a percent
_GROWTH = np.linspace(1.1, 3.0, 20)  # of the windows from level to level, that are tried
_SPARSER = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5)  # times the step that would leave no gap


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
    _check_size(width, height)
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


def grid(width: int, height: int, n: int) -> Float32:
    """Return the boxes (1 + n * n, 4), normalised xyxy: the whole image, then row by row.

    The size of the image does not matter to normalised boxes; it is an argument so that every
    scheme is called alike.
    """
    _check_size(width, height)
    if n < 1:
        raise InputError(f"a grid needs n >= 1, got {n}")
    edges = np.arange(n + 1) / n
    corners = [np.meshgrid(ends, ends) for ends in (edges[:-1], edges[1:])]
    cells = np.concatenate(corners).reshape(4, -1).T
    return np.concatenate([[WHOLE], cells]).astype(np.float32)


def cover_rate(
    windows: Float32,
    width: int,
    height: int,
    sizes: tuple[float, float],
    r: float,
    count: int = _TRIED,
    seed: int = 0,
) -> float:
    """Return the share of random boxes that lie whole in a window of at most r times their size.

    windows: (p, 4), normalised xyxy; sizes: the boxes' longer side in pixels, from and to,
    log-uniform, each side of a box at most the image's; r: at least 1. Boxes lie anywhere inside
    the image, with sides in proportions of 1:2 to 2:1.

    >>> whole = np.array([[0, 0, 1, 1]], np.float32)
    >>> cover_rate(whole, 100, 100, (50, 100), r=2.0)
    1.0
    >>> cover_rate(whole, 100, 100, (10, 40), r=2.0)
    0.0
    """
    if not 0 < sizes[0] <= sizes[1] or r < 1:
        raise InputError(f"a cover needs 0 < smallest <= largest and r >= 1, got {sizes} and {r}")
    boxes = _random_boxes(width, height, sizes, count, seed)
    scaled = np.asarray(windows, np.float64) * np.array([width, height] * 2)
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    sides = (scaled[:, 2:] - scaled[:, :2]).max(axis=1)
    slack = 1e-3  # of a pixel: float32 boxes at the border must not count as gaps
    covered = np.zeros(len(boxes), bool)
    for window, side in zip(scaled, sides, strict=True):
        fits = side <= r * longest + slack
        fits &= (boxes[:, :2] >= window[:2] - slack).all(axis=1)
        covered |= fits & (boxes[:, 2:] <= window[2:] + slack).all(axis=1)
    return float(covered.mean())


def cover(width: int, height: int, smallest: float, r: float, rate: float = 0.95) -> Float32:
    """Return windows (p, 4), few of them, that cover boxes from `smallest` pixels up.

    Boxes are normalised xyxy; the first is the whole image, then level by level from the largest
    windows down, row by row. smallest: the longer side of the smallest boxes, in pixels; r: see
    `cover_rate`, above 1; rate: of it, at least, for boxes between smallest and the image's longer
    side. Raises InputError where these make no sense.
    """
    _check_size(width, height)
    if smallest < 1 or r <= 1 or not 0 < rate <= 1:
        raise InputError(
            "a cover needs a smallest object of 1 pixel or more, r above 1 and a rate in 0..1, "
            f"got {smallest}, {r} and {rate}"
        )
    return _cover(width, height, float(smallest), float(r), float(rate)).copy()


@lru_cache(maxsize=256)  # photos of one camera have one size
def _cover(width: int, height: int, smallest: float, r: float, rate: float) -> Float32:
    sizes = (min(smallest, max(width, height)), float(max(width, height)))
    plans = sorted(_plans(width, height, sizes[0], r), key=len)
    covers = (plan for plan in plans if cover_rate(plan, width, height, sizes, r) >= rate)
    return next(covers, plans[-1])


def _plans(width: int, height: int, smallest: float, r: float) -> Iterator[Float32]:
    """All covers that are tried: some growths of the levels, each with denser and sparser steps.

    The sparsest step without gaps for windows of side w: boxes up to the next level's smallest,
    q w / r, must fit, so that neighbours overlap by that much.
    """
    for growth in _GROWTH:
        q = min(growth, 0.97 * r)
        for sparser in _SPARSER:
            side = smallest * r
            below = []
            while side < max(width, height):
                below.append(_level(width, height, side, sparser * side * (1 - q / r)))
                side *= q
            whole = np.concatenate([[[0, 0, width, height]], *reversed(below)])
            yield (whole / np.array([width, height] * 2)).astype(np.float32)


def _level(width: int, height: int, side: float, step: float) -> np.ndarray:
    """Square windows in pixels, spread evenly from border to border, `step` apart or less."""
    across, down = min(side, width), min(side, height)
    x = np.linspace(0, width - across, 1 + math.ceil((width - across) / step - 1e-9))
    y = np.linspace(0, height - down, 1 + math.ceil((height - down) / step - 1e-9))
    left, top = (grid.ravel() for grid in np.meshgrid(x, y))
    return np.stack([left, top, left + across, top + down], axis=1)


def _random_boxes(
    width: int, height: int, sizes: tuple[float, float], count: int, seed: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    longest = np.exp(rng.uniform(math.log(sizes[0]), math.log(sizes[1]), count))
    aspect = np.exp(rng.uniform(math.log(_ASPECTS[0]), math.log(_ASPECTS[1]), count))
    sides = longest[:, None] * np.stack([np.minimum(1, aspect), np.minimum(1, 1 / aspect)], axis=1)
    sides = np.minimum(sides, [width, height])
    corners = rng.uniform(size=(count, 2)) * (np.array([width, height]) - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"an image has at least 1 x 1 pixels, got {width} x {height}")
