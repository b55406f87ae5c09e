"""Things that stand in rooms."""

import numpy as np

from finesight.research.scenes.meshes import Mesh, join
from finesight.research.scenes.objects.parts import arc, grid, legs, pair
from finesight.research.scenes.solids import box, cylinder, ellipsoid, extrude, lathe, tube


def bathtub(rng: np.random.Generator) -> Mesh:
    """An open oval tub with a light inside."""
    length, height, wall = rng.uniform(1.7, 2.1), rng.uniform(0.55, 0.7), rng.uniform(0.86, 0.9)
    outer = [(0.0, 0.0), (0.7, 0.0), (0.9, 0.3), (1.0, 1.0), (1.06, 1.0), (1.06, 1.06)]
    inner = [(wall, 1.06), (wall - 0.06, 0.35), (0.6, 0.15), (0.0, 0.15)]
    shell = lathe([*outer, (wall, 1.06)])
    basin = lathe(inner, tone="light")
    return join(shell, basin).scaled(length / 2, rng.uniform(0.42, 0.5), height)


def bed(rng: np.random.Generator) -> Mesh:
    """A mattress with a blanket, a pillow and a headboard."""
    length, width, height = rng.uniform(1.9, 2.2), rng.uniform(1.0, 1.5), rng.uniform(0.3, 0.45)
    frame = box(length, width, height, 0.05).moved(z=0.1)
    blanket = box(length * 0.68, width * 1.02, 0.14, 0.3).moved(-length * 0.15, 0, height + 0.1)
    sheet = box(length * 0.3, width * 0.96, 0.1, 0.3, "light").moved(length * 0.33, 0, height + 0.1)
    pillow_ = box(0.34, width * 0.6, 0.14, 0.45, "light").moved(length * 0.37, 0, height + 0.2)
    board = box(0.1, width * 1.04, height + rng.uniform(0.45, 0.7), 0.2).moved(length / 2)
    return join(frame, blanket, sheet, pillow_, board, legs(length, width, 0.12, 0.12, "dark"))


def bench(rng: np.random.Generator) -> Mesh:
    """Long wooden slats as seat and back, on two sides."""
    length, seat, slats = rng.uniform(1.8, 2.4), rng.uniform(0.42, 0.5), int(rng.integers(3, 5))
    slat = box(length, 0.13, 0.06, 0.2)
    seats = grid(slat, y=[-0.08 - 0.17 * i for i in range(slats)], z=(seat,))
    backs = grid(slat.turned("x", 80), y=(0.1,), z=[seat + 0.2 + 0.2 * i for i in range(2)])
    depth = 0.17 * slats + 0.1
    side = join(
        box(0.09, 0.09, seat + 0.55, 0.1, "dark").moved(y=0.12),
        box(0.09, 0.09, seat, 0.1, "dark").moved(y=-depth + 0.05),
        box(0.09, depth, 0.07, 0.1, "dark").moved(y=-depth / 2 + 0.1, z=seat - 0.07),
    )
    return join(seats, backs, pair(side, x=length * 0.4))


def chair(rng: np.random.Generator) -> Mesh:
    """A seat on four legs with an upright back."""
    width, seat, back = rng.uniform(0.5, 0.62), rng.uniform(0.5, 0.62), rng.uniform(0.6, 0.85)
    board = box(width, width, 0.09, 0.3).moved(z=seat)
    rest = box(0.08, width, back, 0.2)
    if rng.random() < 0.5:
        rails = grid(box(0.06, width, 0.14, 0.2), z=(back * 0.4, back * 0.8))
        rest = join(pair(box(0.08, 0.08, back, 0.2), y=width / 2 - 0.04), rails)
    rest = rest.turned("y", -rng.uniform(2, 10)).moved(-width / 2 + 0.04, 0, seat + 0.05)
    return join(board, rest, legs(width, width, seat, rng.uniform(0.06, 0.09)))


def sofa(rng: np.random.Generator) -> Mesh:
    """Soft cushions between thick arms."""
    length, depth = rng.uniform(1.7, 2.3), rng.uniform(0.75, 0.9)
    seats = int(rng.integers(2, 4))
    base = box(length, depth, 0.3, 0.2).moved(z=0.08)
    back = box(length, 0.26, rng.uniform(0.75, 0.95), 0.4).moved(y=depth / 2 - 0.1, z=0.08)
    arm = box(0.26, depth, rng.uniform(0.55, 0.68), 0.45).moved(z=0.08)
    step = (length - 0.4) / seats
    cushion = box(step * 0.97, depth * 0.75, 0.16, 0.45)
    places = [-length / 2 + 0.2 + step * (i + 0.5) for i in range(seats)]
    cushions, arms = grid(cushion, places, (-0.1,), (0.36,)), pair(arm, x=length / 2 - 0.06)
    return join(base, back, arms, cushions, legs(length * 0.9, depth * 0.9, 0.1, 0.08, "dark"))


def table(rng: np.random.Generator) -> Mesh:
    """A thin top on four legs, or a round one on a foot."""
    height = rng.uniform(0.65, 0.85)
    if rng.random() < 0.35:
        radius = rng.uniform(0.6, 0.8)
        top = cylinder(radius, 0.07).moved(z=height)
        return join(top, cylinder(0.07, height), cylinder(radius * 0.5, 0.07, radius * 0.3))
    length, width = rng.uniform(1.2, 1.8), rng.uniform(0.7, 1.0)
    top = box(length, width, 0.08, 0.15).moved(z=height)
    return join(top, legs(length * 0.95, width * 0.93, height, rng.uniform(0.07, 0.1)))


def lamp(rng: np.random.Generator) -> Mesh:
    """A foot, a thin pole and a wide shade."""
    height, wide = rng.uniform(0.9, 1.5), rng.uniform(0.36, 0.46)
    narrow, shade = wide * rng.uniform(0.45, 0.7), rng.uniform(0.4, 0.55)
    foot = cylinder(rng.uniform(0.22, 0.3), 0.06, 0.16, tone="dark")
    pole = cylinder(0.035, height, tone="steel")
    top = lathe([(wide, height), (narrow, height + shade), (narrow - 0.03, height + shade)])
    inside = lathe([(narrow - 0.03, height + shade), (wide - 0.03, height)], tone="light")
    bulb = ellipsoid(0.11, 0.11, 0.14, "light").moved(z=height + shade * 0.5)
    return join(foot, pole, top, inside, bulb)


def faucet(rng: np.random.Generator) -> Mesh:
    """A bent spout with two handles."""
    height, reach = rng.uniform(0.6, 0.9), rng.uniform(0.5, 0.7)
    arch = arc(9, lambda c, s: (reach / 2 * (1 - c), 0.0, height + reach / 2 * s))
    spout = tube([(0.0, 0.0, 0.0), *arch, (reach, 0.0, height - 0.16)], rng.uniform(0.075, 0.1))
    foot = cylinder(0.17, 0.12)
    across = rng.uniform(0.35, 0.5)
    post = join(cylinder(0.09, 0.24), box(0.34, 0.09, 0.09, 0.3).moved(z=0.24)).turned("z", 35)
    return join(spout, foot, box(0.14, 2 * across, 0.1, 0.3), pair(post, y=across))


def mailbox(rng: np.random.Generator) -> Mesh:
    """A round-topped box on a post, with a flag."""
    length, width, post = rng.uniform(0.75, 1.0), rng.uniform(0.36, 0.46), rng.uniform(0.7, 1.0)
    roof = arc(12, lambda c, s: (width / 2 * c, 0.26 + width / 2 * s))
    outline = [(-width / 2, 0.0), (width / 2, 0.0), *roof]
    body = extrude(outline, length).turned("z", 90)
    door = extrude(outline, 0.03, "light").scaled(0.8)
    door = door.turned("z", 90).moved(length / 2 + 0.01, 0, 0.04)
    pole = box(0.12, 0.12, post, 0.1, "dark")
    flag = box(0.2, 0.03, 0.34, 0.1, "dark").moved(0.1, width / 2 + 0.03, post + 0.3)
    return join(body.moved(z=post), door.moved(z=post), pole, flag)
