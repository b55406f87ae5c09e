"""Things that drive, fly, roll and stand outside."""

import itertools
from dataclasses import replace

import numpy as np

from finesight.research.scenes.meshes import Mesh, join
from finesight.research.scenes.objects.parts import arc, around, grid, pair, wheels
from finesight.research.scenes.solids import box, cylinder, ellipsoid, extrude, lathe, ring, tube


def airplane(rng: np.random.Generator) -> Mesh:
    """A fuselage with swept wings and a tail."""
    length, radius = rng.uniform(1.7, 2.2), rng.uniform(0.11, 0.15)
    span, chord, sweep = rng.uniform(0.85, 1.1), rng.uniform(0.3, 0.42), rng.uniform(0.15, 0.4)
    body = ellipsoid(length / 2, radius, radius)
    outline = [(chord / 2, 0.0), (-chord / 2, 0.0), (-chord / 2 - sweep, span), (-sweep, span)]
    wing = extrude(outline, 0.05).turned("x", -90)
    tail = wing.scaled(0.42).moved(x=-length * 0.4)
    fin = extrude(outline, 0.05).scaled(0.4).moved(x=-length * 0.4)
    wings = [part for w in (wing, tail) for part in (w, w.scaled(1, -1, 1))]
    window = ellipsoid(0.14, radius * 0.8, radius * 0.6, "dark")
    window = window.moved(x=length * 0.36, z=radius * 0.5)
    return join(body, *wings, fin, window).moved(z=0.3)


def car(rng: np.random.Generator) -> Mesh:
    """A low body, a cabin with dark windows, four wheels."""
    length, width, radius = rng.uniform(1.8, 2.2), rng.uniform(0.8, 0.95), rng.uniform(0.17, 0.22)
    body_height, roof = rng.uniform(0.28, 0.36), rng.uniform(0.26, 0.34)
    body = box(length, width, body_height, 0.25).moved(z=radius * 0.8)
    shift, cabin = rng.uniform(-0.15, 0.0), length * rng.uniform(0.46, 0.56)
    outline = [(-cabin / 2, 0.0), (cabin / 2, 0.0), (cabin * 0.26, roof), (-cabin * 0.36, roof)]
    sill = radius * 0.8 + body_height
    glass = extrude(outline, width * 0.84, "dark").moved(shift, 0, sill)
    top = box(cabin * 0.64, width * 0.86, 0.06, 0.3)
    top = top.moved(shift - cabin * 0.05, 0, sill + roof - 0.02)
    lights = box(0.04, width * 0.8, 0.08, 0.2, "light")
    lights = lights.moved(length / 2, 0, radius + body_height * 0.4)
    return join(body, glass, top, lights, wheels(length * 0.62, width * 0.92, radius, 0.14))


def bus(rng: np.random.Generator) -> Mesh:
    """A long box with a band of windows."""
    length, width, height = rng.uniform(2.3, 3.0), rng.uniform(0.7, 0.85), rng.uniform(0.85, 1.05)
    body = box(length, width, height, 0.08).moved(z=0.16)
    panes = int(rng.integers(5, 8))
    step = length * 0.9 / panes
    pane = box(step * 0.8, width * 1.02, height * 0.32, 0.05, "dark")
    places = [-length * 0.45 + step / 2 + i * step for i in range(panes)]
    windows = grid(pane, places, z=(0.16 + height * 0.52,))
    front = box(0.05, width * 0.86, height * 0.4, 0.1, "dark")
    front = front.moved(length / 2, 0, 0.16 + height * 0.46)
    return join(body, windows, front, wheels(length * 0.6, width * 0.92, 0.18, 0.14))


def rocket(rng: np.random.Generator) -> Mesh:
    """A tall pointed hull on fins."""
    height, radius = rng.uniform(1.7, 2.3), rng.uniform(0.2, 0.28)
    nose = height * rng.uniform(0.28, 0.4)
    curve = arc(8, lambda c, s: (radius * c**0.8, height - nose + nose * s), end=1.5)
    hull = lathe([(0, 0.2), (radius * 0.7, 0.2), (radius, height * 0.4), *curve, (0, height)])
    tip = radius + rng.uniform(0.25, 0.4)
    outline = [(radius * 0.7, 0.25), (tip, 0.0), (tip, 0.2), (radius * 0.9, 0.75)]
    fin = extrude(outline, 0.06, "dark" if rng.random() < 0.5 else "main")
    porthole = ellipsoid(0.05, 0.11, 0.11, "light").moved(radius * 0.95, 0, height * 0.55)
    return join(hull, around(fin, 4, 45), porthole, porthole.scaled(-1, 1, 1))


def skateboard(rng: np.random.Generator) -> Mesh:
    """A board with raised ends on four small wheels."""
    length, width = rng.uniform(1.8, 2.2), rng.uniform(0.48, 0.62)
    rise, half = rng.uniform(0.12, 0.22), length / 2
    top = [(-half, rise), (-half * 0.72, 0.0), (half * 0.72, 0.0), (half, rise)]
    boards = [
        extrude([a, b, (b[0], b[1] + 0.07), (a[0], a[1] + 0.07)], width).moved(z=0.26)
        for a, b in itertools.pairwise(top)
    ]
    axles = pair(box(0.1, width * 0.8, 0.12, 0.1, "steel").moved(z=0.12), x=length * 0.28)
    return join(*boards, axles, wheels(length * 0.56, width * 0.78, 0.13, 0.14))


def sailboat(rng: np.random.Generator) -> Mesh:
    """A hull with a mast and a sail."""
    length, width, mast = rng.uniform(1.4, 1.8), rng.uniform(0.4, 0.55), rng.uniform(1.4, 1.9)
    half = length / 2
    hull = ellipsoid(half, width / 2, 0.36, share=0.999).scaled(1, 1, -1)
    hull = replace(hull, vertices=np.minimum(hull.vertices, [9, 9, 0.02])).moved(z=0.36)
    pole = cylinder(0.03, mast, tone="steel").moved(half * 0.1, 0, 0.3)
    main = extrude([(half * 0.05, 0.5), (-half * 0.85, 0.5), (half * 0.05, 0.3 + mast)], 0.03)
    jib = extrude([(half * 0.2, 0.5), (half * 0.9, 0.45), (half * 0.2, mast)], 0.03, "light")
    return join(hull, pole, main, jib)


def train(rng: np.random.Generator) -> Mesh:
    """A steam locomotive: a round boiler, a chimney, a cab behind, many wheels and a cowcatcher."""
    length, radius = rng.uniform(1.1, 1.4), rng.uniform(0.24, 0.29)
    boiler = cylinder(radius, length).turned("y", 90).moved(-length / 2, 0, 0.55)
    front = cylinder(radius * 0.85, 0.05, tone="dark").turned("y", 90).moved(length / 2, 0, 0.55)
    bed = box(length + 0.75, 0.5, 0.12, 0.1, "dark").moved(-0.28, 0, 0.22)
    cab = box(0.5, 0.62, rng.uniform(0.6, 0.75), 0.05).moved(-length / 2 - 0.25, 0, 0.3)
    roof = box(0.64, 0.72, 0.07, 0.3, "dark").moved(-length / 2 - 0.25, 0, 1.0)
    panes = box(0.26, 0.64, 0.2, 0.05, "light").moved(-length / 2 - 0.25, 0, 0.7)
    chimney = cylinder(0.09, rng.uniform(0.28, 0.42), 0.15, "dark").moved(length * 0.34, 0, 0.76)
    domes = [ellipsoid(0.12, 0.12, 0.16, "steel").moved(x, 0, 0.8) for x in (-0.08, -0.35)]
    wheel = cylinder(0.17, 0.08, tone="dark", segments=16).moved(z=-0.04).turned("x", 90)
    row = [x * (length + 0.5) / 3.4 - 0.25 for x in (-1.5, -0.5, 0.5, 1.5)]
    rolling = grid(wheel, row, (-0.27, 0.27), (0.17,))
    rods = pair(box(length, 0.03, 0.05, 0.1, "steel").moved(-0.2, 0, 0.16), y=0.34)
    plough = extrude([(0, 0.04), (0.26, 0.04), (0, 0.3)], 0.5).moved(length / 2 + 0.08)
    return join(boiler, front, bed, cab, roof, panes, chimney, *domes, rolling, rods, plough)


def motorcycle(rng: np.random.Generator) -> Mesh:
    """Two large wheels in line, a tank, a seat, an engine, a fork and handlebars."""
    base, radius = rng.uniform(1.0, 1.2), rng.uniform(0.28, 0.33)
    tyre = join(ring(radius, 0.075, "dark"), ring(radius * 0.62, 0.03, "steel"))
    hub = cylinder(0.07, 0.12, tone="steel").moved(z=-0.06)
    spokes = [box(radius * 1.9, 0.03, 0.03, 0.1, "steel").turned("z", a) for a in (0, 60, 120)]
    wheel = join(tyre, hub, *spokes).turned("x", 90).moved(z=radius + 0.075)
    tank = ellipsoid(0.32, 0.17, 0.17).moved(0.12, 0, 0.8)
    seat = box(0.5, 0.22, 0.1, 0.4, "dark").turned("y", rng.uniform(-8, 4)).moved(-0.34, 0, 0.72)
    tail = box(0.3, 0.16, 0.1, 0.3).turned("y", 14).moved(-0.6, 0, 0.68)
    engine = box(0.42, 0.24, 0.3, 0.15, "steel").moved(0.0, 0, 0.3)
    frame = tube([(-base / 2, 0, radius), (-0.1, 0, 0.62), (0.3, 0, 0.75), (0.05, 0, 0.3)], 0.05)
    x = base / 2 - 0.24
    fork = [tube([(base / 2, y, radius), (x, y, 0.98)], 0.04, tone="steel") for y in (-0.12, 0.12)]
    grips = [(x - 0.14, -0.36, 1.06), (x, -0.12, 1.0), (x, 0.12, 1.0), (x - 0.14, 0.36, 1.06)]
    bar = tube(grips, 0.035, tone="dark")
    light = ellipsoid(0.1, 0.11, 0.11, "light").moved(x + 0.1, 0, 0.9)
    guard = ellipsoid(0.32, 0.1, 0.12).moved(base / 2, 0, 2 * radius + 0.06)
    pipe = tube([(0.1, 0.16, 0.3), (-0.7, 0.2, 0.34)], 0.055, tone="steel")
    rolling = pair(wheel, x=base / 2)
    return join(rolling, tank, seat, tail, engine, frame, *fork, bar, light, guard, pipe)


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
