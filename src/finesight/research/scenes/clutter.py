"""Shapes without a name: what textured scenes are strewn with, so that not all is an object."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from finesight.research.scenes.meshes import Mesh, join, standing
from finesight.research.scenes.placing import Pose
from finesight.research.scenes.solids import box, cylinder, ellipsoid, extrude, ring


@dataclass(frozen=True)
class Clutter:
    """One unnamed shape in its pose; color: linear RGB 0..1."""

    pose: Pose
    color: tuple[float, float, float]
    metal: bool


def unnamed_shape(rng: np.random.Generator) -> Mesh:
    """Draw a shape that is none of the classes, standing on the ground, its longest side 1."""
    make = _SHAPES[int(rng.integers(len(_SHAPES)))]
    mesh = make(rng).scaled(*rng.uniform(0.5, 1.5, 3))
    mesh = mesh.turned("x", float(rng.uniform(-90, 90))).turned("y", float(rng.uniform(-90, 90)))
    return standing(mesh)


def unnamed_color(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw a colour, from grey to as strong as the objects' own: linear RGB 0..1."""
    gray = rng.uniform(0.02, 0.7)
    strong = rng.uniform(0.0, 1.0, 3) ** 2.2
    mixed = gray + rng.uniform(0, 1) * (strong - gray)
    return float(mixed[0]), float(mixed[1]), float(mixed[2])


def _slab(rng: np.random.Generator) -> Mesh:
    corners = int(rng.integers(3, 8))
    turns = np.sort(rng.uniform(0, 2 * np.pi, corners))
    outline = [(float(np.cos(t)), float(np.sin(t))) for t in turns]
    return extrude(outline, float(rng.uniform(0.1, 1.5)))


def _pile(rng: np.random.Generator) -> Mesh:
    parts = [
        box(1, 1, 1, 0.1)
        .scaled(*rng.uniform(0.2, 1, 3))
        .turned("z", float(rng.uniform(0, 90)))
        .moved(*rng.uniform(-0.4, 0.4, 3))
        for _ in range(int(rng.integers(2, 5)))
    ]
    return join(*parts)


_SHAPES: tuple[Callable[[np.random.Generator], Mesh], ...] = (
    lambda rng: box(1, 1, 1, float(rng.uniform(0, 0.49))),
    lambda rng: ellipsoid(1, 1, 1, share=float(rng.uniform(0.4, 1))),
    lambda rng: cylinder(1, float(rng.uniform(0.5, 2.5)), top=float(rng.uniform(0, 1.2))),
    lambda rng: ring(1, float(rng.uniform(0.1, 0.45))),
    _slab,
    _pile,
)
