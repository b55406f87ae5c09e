"""Things that are built and stand outside."""

import numpy as np

from finesight.research.scenes.meshes import Mesh, join
from finesight.research.scenes.objects.parts import around
from finesight.research.scenes.solids import box, cylinder, extrude, lathe, tube


def birdhouse(rng: np.random.Generator) -> Mesh:
    """A small house with a steep roof, a round dark hole and a perch, on a thin pole."""
    width, wall, rise = rng.uniform(0.5, 0.6), rng.uniform(0.45, 0.6), rng.uniform(0.26, 0.38)
    half = width / 2
    outline = [(-half, 0.0), (half, 0.0), (half, wall), (0.0, wall + rise), (-half, wall)]
    house = extrude(outline, width * 1.05).turned("z", 90)
    slope = float(np.degrees(np.arctan2(rise, half)))
    length = float(np.hypot(rise, half)) * 1.35
    plank = box(width * 1.35, length, 0.05, 0.1, "dark")
    sides = [plank.moved(y=s * length / 2).turned("x", -s * slope) for s in (-1, 1)]
    roof = join(*sides).moved(z=wall + rise)
    hole = cylinder(0.11, 0.04, tone="dark").turned("y", 90)
    perch = tube([(0, 0, 0), (0.2, 0, 0)], 0.028, tone="light")
    front = width * 0.525
    door = join(hole.moved(front, 0, wall * 0.66), perch.moved(front, 0, wall * 0.3))
    post = rng.uniform(0.25, 0.9)
    pole = cylinder(0.05, post, tone="light")
    floor = box(width * 1.3, width * 1.2, 0.05, 0.1, "dark")
    return join(pole, join(house, roof, door, floor).moved(z=post))


def tower(rng: np.random.Generator) -> Mesh:
    """A round stone tower with battlements or a pointed roof, windows and a door."""
    radius, height = rng.uniform(0.22, 0.3), rng.uniform(1.3, 1.7)
    waist = radius * rng.uniform(0.78, 0.9)
    body = lathe([(0, 0), (radius * 1.15, 0), (radius * 1.1, 0.12), (waist, height)])
    wide, edge = radius * 1.25, height + 0.14
    rim = [(waist, height - 0.1), (wide, height), (wide, edge), (radius * 1.0, edge)]
    parts = [body, lathe([*rim, (0, height + 0.06)])]
    if rng.random() < 0.5:
        parts.append(cylinder(radius * 1.3, rng.uniform(0.4, 0.6), 0, "dark").moved(z=edge))
    else:
        parts.append(around(box(0.1, 0.15, 0.14, 0.05).moved(x=radius * 1.18, z=edge), 8))
    window = box(0.06, 0.09, 0.17, 0.1, "dark")
    for level, start in ((0.4, 20.0), (0.66, 65.0)):
        place = radius * 1.1 + (waist - radius * 1.1) * level
        parts.append(around(window.moved(place - 0.01, 0, height * level), 4, start))
    return join(*parts, around(box(0.08, 0.2, 0.3, 0.1, "dark").moved(radius * 1.1), 2))
