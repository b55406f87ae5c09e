"""Things that people hold, wear, fill, aim and eat from."""

import itertools

import numpy as np

from finesight.research.scenes.meshes import Mesh, join
from finesight.research.scenes.objects.parts import arc, pair
from finesight.research.scenes.solids import box, cylinder, ellipsoid, extrude, lathe, ring, tube


def bottle(rng: np.random.Generator) -> Mesh:
    """A round body, shoulders, a narrow neck and a cap."""
    radius, body, neck = rng.uniform(0.22, 0.3), rng.uniform(0.75, 1.0), rng.uniform(0.07, 0.1)
    shoulder, top = rng.uniform(0.15, 0.3), rng.uniform(0.22, 0.38)
    narrowing = arc(8, lambda c, s: neck + (radius - neck) * (0.5 + 0.5 * c))
    rise = np.linspace(0, np.pi, 8) / np.pi
    curve = [(r, body + shoulder * i) for r, i in zip(narrowing, rise, strict=True)]
    hull = lathe([(0, 0), (radius, 0), *curve, (neck, body + shoulder + top)])
    cap = cylinder(neck * 1.35, 0.13, tone="dark").moved(z=body + shoulder + top - 0.04)
    label = lathe([(radius * 1.01, body * 0.3), (radius * 1.01, body * 0.72)], tone="light")
    return join(hull, cap, label)


def bowl(rng: np.random.Generator) -> Mesh:
    """A wide open half sphere on a small foot."""
    radius, depth = rng.uniform(0.6, 0.75), rng.uniform(0.38, 0.55)
    outer = arc(10, lambda c, s: (radius * s, 0.06 + depth * (1 - c)), 0.12, np.pi / 2)
    inner = [(r * 0.92, z * 0.94 + 0.06) for r, z in reversed(outer)]
    foot = cylinder(radius * 0.42, 0.09, radius * 0.36)
    return join(lathe([*outer, inner[0]]), lathe([*inner, (0, 0.14)], tone="light"), foot)


def mug(rng: np.random.Generator) -> Mesh:
    """A straight cup with a handle."""
    radius, height = rng.uniform(0.36, 0.44), rng.uniform(0.75, 0.98)
    taper = rng.uniform(0.86, 1.04)
    outer = lathe([(0, 0), (radius * taper, 0), (radius, height), (radius * 0.88, height)])
    inner = lathe([(radius * 0.88, height), (radius * 0.84, 0.1), (0, 0.1)], tone="light")
    reach, rise = rng.uniform(0.22, 0.32), height * rng.uniform(0.26, 0.33)
    path = arc(12, lambda c, s: (radius * 0.94 + reach * s, 0.0, height * 0.5 - rise * c))
    return join(outer, inner, tube(path, rng.uniform(0.055, 0.075)))


def knife(rng: np.random.Generator) -> Mesh:
    """A pointed steel blade in a handle, lying flat."""
    blade, width = rng.uniform(1.1, 1.4), rng.uniform(0.17, 0.24)
    handle = rng.uniform(0.75, 0.95)
    edge = [(0.0, 0.0), (blade * 0.7, 0.0), (blade, width), (0.0, width)]
    steel = extrude(edge, 0.05, "steel")
    grip = box(handle, 0.16, width * 1.15, 0.4).moved(-handle / 2, 0, -0.01)
    guard = box(0.08, 0.2, width * 1.3, 0.2, "dark").moved(0, 0, -width * 0.1)
    return join(steel, grip, guard).turned("x", 90)


def guitar(rng: np.random.Generator) -> Mesh:
    """A waisted body with a dark hole and a long neck, leaning on a stand."""
    lower, upper = rng.uniform(0.44, 0.52), rng.uniform(0.33, 0.4)
    waist, neck = rng.uniform(0.24, 0.3), rng.uniform(0.95, 1.15)
    heights = np.linspace(0, 1.15, 24)
    anchors = (
        [0, 0.1, 0.35, 0.68, 0.92, 1.08, 1.15],
        [0.12, 0.8 * lower, lower, waist, upper, 0.7 * upper, 0.08],
    )
    half = np.pad(np.interp(heights, *anchors), 1, mode="edge")
    half = np.convolve(half, [0.25, 0.5, 0.25], mode="valid")
    right = itertools.pairwise(zip(half.tolist(), heights.tolist(), strict=True))
    slices = [extrude([(w, h), (w2, h2), (-w2, h2), (-w, h)], 0.2) for (w, h), (w2, h2) in right]
    hole = cylinder(0.13, 0.03, tone="dark").turned("x", 90).moved(0, -0.09, 0.72)
    bridge = box(0.34, 0.04, 0.07, 0.1, "dark").moved(0, -0.11, 0.33)
    board = box(0.11, 0.08, neck + 0.45, 0.1, "dark").moved(0, -0.1, 0.78)
    head = box(0.2, 0.08, 0.28, 0.2).moved(0, -0.09, 1.2 + neck)
    return join(*slices, hole, bridge, board, head).turned("x", -rng.uniform(6, 14))


def helmet(rng: np.random.Generator) -> Mesh:
    """A round shell with a dark visor at the front."""
    width, height = rng.uniform(0.46, 0.54), rng.uniform(0.5, 0.58)
    shell = ellipsoid(0.58, width, height, share=0.62).moved(z=0.36)
    jaw = lathe([(0.98, 0.0), (0.98, 0.3)]).scaled(0.58, width, 1)
    visor = ellipsoid(0.3, width * 0.86, height * 0.42, "dark").moved(0.34, 0, 0.42)
    ridge = box(0.9, 0.1, 0.1, 0.4, "light").moved(-0.06, 0, 0.36 + height - 0.06)
    rim = ring(1.0, 0.06, "dark").scaled(0.58, width, 1).moved(z=0.04)
    return join(shell, jaw, visor, ridge, rim)


def laptop(rng: np.random.Generator) -> Mesh:
    """A flat keyboard and an open screen."""
    width, depth = rng.uniform(1.15, 1.4), rng.uniform(0.8, 0.95)
    base = box(depth, width, 0.08, 0.2)
    keys = box(depth * 0.5, width * 0.86, 0.02, 0.1, "dark").moved(-depth * 0.12, 0, 0.075)
    pad = box(depth * 0.2, width * 0.3, 0.02, 0.1, "steel").moved(depth * 0.32, 0, 0.072)
    lid = box(0.06, width, depth * 0.92, 0.2)
    screen = box(0.02, width * 0.9, depth * 0.78, 0.05, "dark").moved(0.035, 0, depth * 0.08)
    lid = join(lid, screen).turned("y", -rng.uniform(8, 28)).moved(-depth / 2, 0, 0.05)
    return join(base, keys, pad, lid)


def camera(rng: np.random.Generator) -> Mesh:
    """A box with a thick round lens and a viewfinder hump."""
    width, height = rng.uniform(1.0, 1.2), rng.uniform(0.6, 0.75)
    body = box(0.4, width, height, 0.2)
    radius, reach = rng.uniform(0.24, 0.3), rng.uniform(0.3, 0.5)
    barrel, collar = cylinder(radius, reach, tone="dark"), cylinder(radius * 1.12, 0.1)
    glass = ellipsoid(radius * 0.75, radius * 0.75, 0.06, "light").moved(z=reach)
    lens = join(barrel, collar.moved(z=reach * 0.4), glass).turned("y", 90)
    lens = lens.moved(0.18, 0, height * 0.46)
    hump = box(0.32, 0.36, 0.2, 0.3).moved(z=height - 0.02)
    button = cylinder(0.07, 0.07, tone="steel").moved(0, width * 0.34, height)
    flash = box(0.03, 0.2, 0.12, 0.2, "light").moved(0.2, -width * 0.34, height * 0.7)
    return join(body, lens, hump, button, flash)


def headphones(rng: np.random.Generator) -> Mesh:
    """A bow over two round ear cups."""
    radius, thick = rng.uniform(0.5, 0.6), rng.uniform(0.05, 0.075)
    path = arc(20, lambda c, s: (0.0, radius * c, 0.42 + radius * 1.1 * s))
    size = rng.uniform(0.26, 0.32)
    cup = cylinder(size, 0.16).turned("x", 90)
    cushion = cylinder(size * 0.85, 0.12, tone="dark").turned("x", -90)
    ear = join(cup, cushion).moved(z=0.34)
    left, right = ear.moved(y=-radius), ear.scaled(1, -1, 1).moved(y=radius)
    return join(tube(path, thick), left, right)


def pillow(rng: np.random.Generator) -> Mesh:
    """A soft square, thick in the middle, with four pointed corners."""
    size, depth = rng.uniform(0.9, 1.2), rng.uniform(0.3, 0.4)
    steps = np.linspace(-1, 1, 15)
    u, v = (axis.ravel() for axis in np.meshgrid(steps, steps))
    bulge = depth / 2 * ((1 - u**4) * (1 - v**4)) ** 0.5
    pinch_u, pinch_v = 1 - 0.1 * (1 - v**2), 1 - 0.1 * (1 - u**2)
    flat = np.column_stack([size / 2 * u * pinch_u, 0.5 * v * pinch_v])
    n, back = len(steps), len(flat)
    faces: list[tuple[int, ...]] = []
    for a in (i * n + j for i in range(n - 1) for j in range(n - 1)):
        front = (a, a + 1, a + n + 1, a + n)
        faces += [front, tuple(back + corner for corner in reversed(front))]
    vertices = np.concatenate([np.column_stack([flat, s * bulge]) for s in (1, -1)])
    soft = Mesh(vertices, faces, ["main"] * len(faces), [True] * len(faces))
    return soft.turned("y", -rng.uniform(50, 70))


def bag(rng: np.random.Generator) -> Mesh:
    """A handbag: a body wide below, a flap with a clasp, and two high handles."""
    width, height, depth = rng.uniform(0.9, 1.15), rng.uniform(0.6, 0.75), rng.uniform(0.3, 0.4)
    half, top = width / 2, width * rng.uniform(0.36, 0.44)
    body = extrude([(-half, 0), (half, 0), (half, 0.06), (top, height), (-top, height)], depth)
    edge = height * 0.55
    flap = extrude([(-top, edge), (top, edge), (top, height), (-top, height)], depth * 1.1)
    band = box(width * 1.01, depth * 1.04, 0.07, 0.2, "dark")
    clasp = box(0.14, depth * 1.2, 0.1, 0.2, "steel").moved(z=height * 0.56)
    rise = rng.uniform(0.35, 0.55)
    arch = arc(11, lambda c, s: (top * 0.72 * c, 0.0, height - 0.03 + rise * s))
    return join(body, flap, band, clasp, pair(tube(arch, 0.04, tone="dark"), y=depth * 0.3))


def cap(rng: np.random.Generator) -> Mesh:
    """A baseball cap: a low round crown with seams and a button, and a long flat visor."""
    height, reach = rng.uniform(0.36, 0.46), rng.uniform(0.5, 0.66)
    crown = ellipsoid(0.5, 0.46, height, share=0.5)
    seam = tube(arc(13, lambda c, s: (0.505 * c, 0.0, (height + 0.005) * s)), 0.012, tone="light")
    seams = [seam.turned("z", angle).scaled(1, 0.93, 1) for angle in (0, 60, 120)]
    button = ellipsoid(0.05, 0.05, 0.03, "light").moved(z=height)
    visor = arc(13, lambda c, s: (0.2 + reach * c, 0.43 * s), -np.pi / 2, np.pi / 2)
    plate = extrude([(0.2, -0.43), *visor, (0.2, 0.43)], 0.05).turned("x", -90)
    plate = plate.turned("y", rng.uniform(6, 14)).moved(z=0.1)
    band = lathe([(0.51, 0.0), (0.51, 0.07)], tone="dark").scaled(1, 0.93, 1)
    return join(crown, *seams, button, plate, band)


def jar(rng: np.random.Generator) -> Mesh:
    """A wide belly, a short neck and a flat light lid, with two ears."""
    belly, height = rng.uniform(0.42, 0.5), rng.uniform(0.75, 0.95)
    neck = belly * rng.uniform(0.5, 0.62)
    curve = arc(10, lambda c, s: (belly * s**0.8, height * (0.5 - 0.5 * c)), 0.45, np.pi - 0.55)
    low, high = curve[0], curve[-1]
    hull = lathe([(0, low[1]), *curve, (neck, high[1] + 0.08), (neck, high[1] + 0.14)])
    lid = cylinder(neck * 1.22, 0.1, neck * 1.1, "light").moved(z=high[1] + 0.13)
    knob = ellipsoid(0.09, 0.09, 0.08, "light").moved(z=high[1] + 0.28)
    band = ring(belly * 0.99, 0.025, "light").moved(z=height * 0.5)
    ear = ring(0.13, 0.04).turned("x", 90).moved(z=high[1] - 0.03)
    return join(hull, lid, knob, band, pair(ear, x=neck + 0.12))


def pistol(rng: np.random.Generator) -> Mesh:
    """A pistol upright on its grip and trigger guard: barrel, slide and slanted grip."""
    length, grip = rng.uniform(0.95, 1.2), rng.uniform(0.5, 0.62)
    slide = box(length, 0.17, 0.22, 0.15).moved(z=0.02)
    frame = box(length * 0.86, 0.14, 0.12, 0.15, "dark").moved(-length * 0.05, 0, -0.08)
    muzzle = cylinder(0.06, 0.1, tone="dark").turned("y", 90).moved(length / 2, 0, 0.14)
    handle = box(0.3, 0.17, grip, 0.2).turned("y", rng.uniform(12, 20))
    handle = handle.moved(-length * 0.36, 0, -grip * 0.96)
    plate = box(0.22, 0.19, grip * 0.7, 0.2, "dark").turned("y", 15)
    plate = plate.moved(-length * 0.33, 0, -grip * 0.8)
    guard = ring(0.14, 0.03, "dark").turned("x", 90).moved(-length * 0.08, 0, -0.17)
    sights = pair(box(0.05, 0.05, 0.06, 0.1, "dark").moved(z=0.23), x=length * 0.45)
    return join(slide, frame, muzzle, handle, plate, guard, sights).turned("x", 70)


def rifle(rng: np.random.Generator) -> Mesh:
    """A long barrel, a wooden stock, a magazine and a scope, lying on its side."""
    barrel, stock = rng.uniform(0.9, 1.2), rng.uniform(0.5, 0.65)
    body = box(0.55, 0.12, 0.16, 0.15).moved(z=-0.08)
    pipe = cylinder(0.045, barrel, tone="dark").turned("y", 90).moved(0.25, 0, 0.03)
    fore = box(barrel * 0.5, 0.13, 0.12, 0.25).moved(0.25 + barrel * 0.25, 0, -0.08)
    end = -0.27 - stock
    butt = extrude([(end, -0.32), (end, -0.04), (-0.27, 0.07), (-0.27, -0.08)], 0.13)
    grip = box(0.11, 0.11, 0.3, 0.2).turned("y", 22).moved(-0.28, 0, -0.32)
    clip = box(0.13, 0.1, 0.34, 0.1, "dark").turned("y", -12).moved(0.12, 0, -0.38)
    scope = cylinder(0.06, rng.uniform(0.35, 0.5), 0.075, "dark").turned("y", 90)
    mount = box(0.1, 0.06, 0.1, 0.1, "dark").moved(0.02, 0, 0.06)
    sight = box(0.04, 0.04, 0.12, 0.1, "dark").moved(0.2 + barrel, 0, 0.03)
    parts = join(body, pipe, fore, butt, grip, clip, scope.moved(-0.2, 0, 0.19), mount, sight)
    return parts.turned("x", 65)
