"""Things that a house is furnished and kept with."""

import numpy as np

from finesight.research.scenes.meshes import Mesh, join
from finesight.research.scenes.objects.parts import arc, around, grid, legs, pair
from finesight.research.scenes.solids import box, cylinder, ellipsoid, lathe, ring, tube


def microwave(rng: np.random.Generator) -> Mesh:
    """A wide box with a dark window, a handle and a panel of keys."""
    width, depth, height = rng.uniform(1.1, 1.3), rng.uniform(0.6, 0.75), rng.uniform(0.6, 0.72)
    body = box(depth, width, height, 0.06).moved(z=0.05)
    front = depth / 2
    window = box(0.03, width * 0.58, height * 0.66, 0.1, "dark")
    window = window.moved(front, -width * 0.14, height * 0.22)
    handle = box(0.07, 0.06, height * 0.7, 0.3, "steel").moved(front + 0.06, width * 0.2, 0.2)
    panel = box(0.03, width * 0.18, height * 0.74, 0.1, "light")
    parts = [body, window, handle, panel.moved(front, width * 0.37, height * 0.18)]
    key = box(0.05, 0.045, 0.045, 0.2, "dark")
    places = [width * 0.37 + j * 0.07 for j in (-1, 0, 1)]
    parts += [grid(key, (front + 0.01,), places, (height * 0.26 + i * 0.1,)) for i in range(3)]
    screen = box(0.05, width * 0.14, 0.09, 0.1, "dark").moved(front, width * 0.37, height * 0.78)
    return join(*parts, screen, legs(depth * 0.9, width * 0.9, 0.06, 0.08, "dark"))


def stove(rng: np.random.Generator) -> Mesh:
    """A cooker: four dark burners on top, knobs, an oven window and a back panel."""
    width, depth, height = rng.uniform(0.72, 0.85), rng.uniform(0.68, 0.8), rng.uniform(0.85, 1.0)
    front = depth / 2
    body = box(depth, width, height, 0.04)
    top = box(depth * 0.94, width * 0.94, 0.03, 0.1, "light").moved(z=height)
    burner = join(cylinder(0.13, 0.05, tone="dark"), ring(0.13, 0.03, "dark").moved(z=0.05))
    x, y = depth * 0.22, width * 0.22
    burners = grid(burner, (-x, x), (-y, y), (height + 0.03,))
    window = box(0.03, width * 0.7, height * 0.32, 0.1, "dark").moved(front, 0, height * 0.26)
    handle = box(0.06, width * 0.76, 0.05, 0.3, "steel").moved(front + 0.05, 0, height * 0.66)
    knob = cylinder(0.05, 0.07, tone="dark").turned("y", 90)
    places = [j * width * 0.2 for j in (-1.5, -0.5, 0.5, 1.5)]
    knobs = grid(knob, (front,), places, (height * 0.86,))
    back = box(0.07, width, rng.uniform(0.12, 0.26), 0.1).moved(-front + 0.035, 0, height)
    return join(body, top, burners, window, handle, knobs, back)


def washing_machine(rng: np.random.Generator) -> Mesh:
    """A cube with a large round porthole, a panel with a knob and a drawer."""
    width, depth, height = rng.uniform(0.72, 0.8), rng.uniform(0.66, 0.76), rng.uniform(0.86, 1.0)
    front, radius = depth / 2, width * rng.uniform(0.29, 0.34)
    body = box(depth, width, height, 0.07)
    rim = lathe([(radius, 0), (radius * 1.22, 0.05), (radius, 0.09)], tone="steel")
    glass = ellipsoid(radius, radius, 0.12, "dark")
    door = join(rim, glass).turned("y", 90).moved(front, 0, height * 0.44)
    panel = box(0.03, width * 0.92, height * 0.14, 0.1, "light").moved(front, 0, height * 0.83)
    knob = cylinder(0.06, 0.08, tone="dark").turned("y", 90)
    knob = knob.moved(front, width * 0.12, height * 0.9)
    drawer = box(0.05, width * 0.26, height * 0.08, 0.1).moved(front, -width * 0.28, height * 0.86)
    screen = box(0.05, width * 0.2, height * 0.06, 0.1, "dark")
    screen = screen.moved(front, width * 0.32, height * 0.87)
    top = box(depth * 0.96, width * 0.96, 0.03, 0.2, "light").moved(z=height - 0.01)
    return join(body, door, panel, knob, drawer, screen, top)


def piano(rng: np.random.Generator) -> Mesh:
    """An upright piano: a tall case, a keyboard on a shelf, a music stand and pedals."""
    width, depth, height = rng.uniform(1.25, 1.5), rng.uniform(0.4, 0.5), rng.uniform(1.0, 1.2)
    case = box(depth, width, height, 0.06).moved(-depth / 2)
    top = box(depth + 0.06, width + 0.06, 0.05, 0.2).moved(-depth / 2, 0, height)
    shelf_z, reach = height * 0.52, rng.uniform(0.32, 0.4)
    shelf = box(reach, width, 0.1, 0.1).moved(reach / 2, 0, shelf_z)
    white = box(reach * 0.72, width * 0.88, 0.03, 0.0, "light").moved(reach * 0.5, 0, shelf_z + 0.1)
    black = box(reach * 0.42, width * 0.028, 0.04, 0.1, "dark")
    places = [(j - 7) * width * 0.058 for j in range(15) if j % 7 not in (2, 6)]
    blacks = grid(black, (reach * 0.36,), places, (shelf_z + 0.12,))
    cheek = box(reach + 0.05, 0.07, 0.2, 0.2).moved(reach / 2, 0, shelf_z)
    post = box(0.09, 0.09, shelf_z, 0.2).moved(reach - 0.06)
    sides = [pair(cheek, y=width / 2 - 0.035), pair(post, y=width / 2 - 0.06)]
    stand = box(0.04, width * 0.5, 0.24, 0.1, "light").turned("y", -12)
    stand = stand.moved(0.06, 0, shelf_z + 0.22)
    pedals = grid(box(0.16, 0.06, 0.04, 0.2, "steel"), (0.1,), (-0.11, 0, 0.11), (0.05,))
    return join(case, top, shelf, white, blacks, *sides, stand, pedals)


def cabinet(rng: np.random.Generator) -> Mesh:
    """A cupboard on short legs with two doors, light panels and round knobs."""
    width, depth, height = rng.uniform(0.9, 1.15), rng.uniform(0.42, 0.55), rng.uniform(1.1, 1.45)
    body = box(depth, width, height, 0.03).moved(z=0.14)
    top = box(depth * 1.12, width * 1.08, 0.08, 0.3).moved(z=height + 0.14)
    parts = [body, top, legs(depth, width, 0.16, 0.1, "dark")]
    for side in (-1, 1):
        door = box(0.05, width * 0.45, height * 0.9, 0.2).moved(depth / 2, side * width * 0.24, 0.2)
        parts.append(door)
        for low, high in ((0.08, 0.46), (0.54, 0.9)):
            inset = box(0.03, width * 0.3, height * (high - low) * 0.86, 0.1, "light")
            parts.append(inset.moved(depth / 2 + 0.03, side * width * 0.25, 0.2 + height * low))
        knob = ellipsoid(0.05, 0.05, 0.05, "dark")
        parts.append(knob.moved(depth / 2 + 0.07, side * width * 0.05, 0.14 + height * 0.52))
    return join(*parts)


def bookshelf(rng: np.random.Generator) -> Mesh:
    """Open shelves, back and front alike, with rows of books."""
    width, depth, height = rng.uniform(0.85, 1.1), rng.uniform(0.3, 0.4), rng.uniform(1.3, 1.6)
    shelves = int(rng.integers(3, 5))
    sides = pair(box(depth, 0.08, height, 0.1), y=width / 2)
    gap = (height - 0.08) / shelves
    boards = grid(box(depth, width, 0.08, 0.1), z=[i * gap for i in range(shelves + 1)])
    books = []
    for i in range(shelves):
        y = -width / 2 + 0.06
        end = width * rng.uniform(0.1, 0.45)
        while y < end:
            thick, tall = rng.uniform(0.06, 0.11), rng.uniform(0.6, 0.85) * (gap - 0.08)
            tone = str(rng.choice(["dark", "light", "steel", "main"]))
            book = box(depth * 0.8, thick * 0.92, tall, 0.05, tone)
            books.append(book.moved(0, y + thick / 2, i * gap + 0.08))
            y += thick
    return join(sides, boards, *books)


def trash_can(rng: np.random.Generator) -> Mesh:
    """A round bin that widens upwards, with ribs, a domed lid and a flap or a pedal."""
    low, high, height = rng.uniform(0.28, 0.33), rng.uniform(0.36, 0.42), rng.uniform(0.85, 1.05)
    can = cylinder(low, height, high)
    shares = (0.25, 0.5, 0.75)
    ribs = [ring(low + (high - low) * s, 0.022, "dark").moved(z=height * s) for s in shares]
    lid = ellipsoid(high * 1.06, high * 1.06, rng.uniform(0.16, 0.24), share=0.5).moved(z=height)
    rim = ring(high * 1.04, 0.045, "steel").moved(z=height)
    grip = tube([(-0.12, 0, 0), (-0.1, 0, 0.1), (0.1, 0, 0.1), (0.12, 0, 0)], 0.03, tone="dark")
    grip = grip.moved(z=height + 0.16)
    if rng.random() < 0.5:
        grip = box(0.2, 0.16, 0.05, 0.3, "dark").moved(low + 0.08, 0, 0.04)
    return join(can, *ribs, lid, rim, grip)


def basket(rng: np.random.Generator) -> Mesh:
    """A woven open basket with a high arched handle."""
    low, high, height = rng.uniform(0.36, 0.44), rng.uniform(0.5, 0.6), rng.uniform(0.4, 0.55)
    weave = [
        ring(low + (high - low) * i / 6, height / 6 * 0.5).moved(z=height * (i + 0.5) / 6)
        for i in range(7)
    ]
    stake = tube([(low * 1.08, 0, 0), (high * 1.1, 0, height * 1.05)], 0.03, tone="light")
    rise = rng.uniform(0.5, 0.7)
    arch = arc(13, lambda c, s: (0.0, high * c, height + rise * s))
    inside = cylinder(low * 0.96, 0.06, tone="dark")
    squash = rng.uniform(0.72, 1.0)
    return join(*weave, around(stake, 12), tube(arch, 0.05), inside).scaled(squash, 1, 1)


def flowerpot(rng: np.random.Generator) -> Mesh:
    """A tapered pot with a rim, earth, and a flower with leaves."""
    low, high, height = rng.uniform(0.22, 0.28), rng.uniform(0.34, 0.4), rng.uniform(0.5, 0.62)
    pot = cylinder(low, height, high)
    wide, below, above = high * 1.14, height - 0.02, height + 0.14
    edge = [(high, below), (wide, below), (wide, above), (high * 0.98, above)]
    rim = lathe([*edge, (high * 0.94, height)])
    earth = cylinder(high * 0.96, 0.02, tone="dark").moved(z=height + 0.05)
    parts = [pot, rim, earth]
    for angle in np.arange(int(rng.integers(4, 7))) * 360.0 / 6 + rng.uniform(0, 60):
        leaf = cylinder(1, 0.04, 0.9, "dark", 12).scaled(0.26, 0.09, 1).moved(x=0.26)
        leaf = leaf.turned("y", -rng.uniform(30, 60))
        parts.append(leaf.turned("z", float(angle)).moved(z=height + 0.06))
    stem = rng.uniform(0.4, 0.6)
    parts.append(cylinder(0.035, stem, tone="dark").moved(z=height + 0.05))
    petal = cylinder(1, 0.03, 0.9, "light", 12).scaled(0.13, 0.075, 1).moved(x=0.17)
    flower = join(around(petal.turned("y", -15), 8), ellipsoid(0.09, 0.09, 0.06).moved(z=0.02))
    return join(*parts, flower.turned("y", rng.uniform(10, 40)).moved(z=height + 0.05 + stem))
