"""Things that people wear, fill and aim."""

import numpy as np

from finesight.research.scenes.meshes import Mesh, join
from finesight.research.scenes.objects.parts import arc, pair
from finesight.research.scenes.solids import box, cylinder, ellipsoid, extrude, lathe, ring, tube


def bag(rng: np.random.Generator) -> Mesh:
    """A handbag: a body wide below, a flap with a clasp, and two high handles."""
    width, height, depth = rng.uniform(0.9, 1.15), rng.uniform(0.6, 0.75), rng.uniform(0.3, 0.4)
    half, top = width / 2, width * rng.uniform(0.36, 0.44)
    body = extrude([(-half, 0), (half, 0), (half, 0.06), (top, height), (-top, height)], depth)
    flap = extrude(
        [(-top, height * 0.55), (top, height * 0.55), (top, height), (-top, height)], depth * 1.1
    )
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
    butt = extrude(
        [(-0.27 - stock, -0.32), (-0.27 - stock, -0.04), (-0.27, 0.07), (-0.27, -0.08)], 0.13
    )
    grip = box(0.11, 0.11, 0.3, 0.2).turned("y", 22).moved(-0.28, 0, -0.32)
    clip = box(0.13, 0.1, 0.34, 0.1, "dark").turned("y", -12).moved(0.12, 0, -0.38)
    scope = cylinder(0.06, rng.uniform(0.35, 0.5), 0.075, "dark").turned("y", 90)
    mount = box(0.1, 0.06, 0.1, 0.1, "dark").moved(0.02, 0, 0.06)
    sight = box(0.04, 0.04, 0.12, 0.1, "dark").moved(0.2 + barrel, 0, 0.03)
    parts = join(body, pipe, fore, butt, grip, clip, scope.moved(-0.2, 0, 0.19), mount, sight)
    return parts.turned("x", 65)
