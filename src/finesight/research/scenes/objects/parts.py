"""What several classes are built of: arcs, and parts in pairs, in rows and around an axis."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from finesight.research.scenes.meshes import Mesh, join
from finesight.research.scenes.solids import box, cylinder

T = TypeVar("T")


def arc(
    steps: int, point: Callable[[float, float], T], start: float = 0.0, end: float = np.pi
) -> list[T]:
    """Return the points that `point` makes of the cosine and the sine of angles in radians."""
    angles = np.linspace(start, end, steps)
    return [point(float(np.cos(angle)), float(np.sin(angle))) for angle in angles]


def pair(part: Mesh, x: float = 0, y: float = 0) -> Mesh:
    """Return a part twice, moved by -x, -y and by x, y."""
    return join(part.moved(-x, -y), part.moved(x, y))


def grid(
    part: Mesh, x: Iterable[float] = (0,), y: Iterable[float] = (0,), z: Iterable[float] = (0,)
) -> Mesh:
    """Return a part moved to every combination of places along x, y and z."""
    ys, zs = list(y), list(z)
    return join(*(part.moved(i, j, k) for i in x for j in ys for k in zs))


def around(part: Mesh, count: int, first: float = 0) -> Mesh:
    """Return a part `count` times, turned evenly about the z axis from an angle on."""
    return join(*(part.turned("z", first + i * 360 / count) for i in range(count)))


def legs(x: float, y: float, height: float, thickness: float, tone: str = "main") -> Mesh:
    """Return four square legs whose outer corners span x by y."""
    leg = box(thickness, thickness, height, 0.1, tone)
    dx, dy = (x - thickness) / 2, (y - thickness) / 2
    return grid(leg, (-dx, dx), (-dy, dy))


def wheels(x: float, y: float, radius: float, width: float) -> Mesh:
    """Return four dark wheels with axes along y: x and y are the distances between them."""
    wheel = cylinder(radius, width, tone="dark").moved(z=-width / 2).turned("x", 90)
    return grid(wheel, (-x / 2, x / 2), (-y / 2, y / 2), (radius,))
