"""What is in a scene: objects, places, camera and light, drawn from a seed.

Image i of (seed, split) depends on these three alone, whatever else is drawn.
"""

from dataclasses import dataclass, replace

import numpy as np

from finesight.errors import InputError
from finesight.scenes.camera import Camera
from finesight.scenes.meshes import Mesh
from finesight.scenes.objects import CLASSES, COLORS, INSTANCES, build

SMALLEST, LARGEST = 0.0005, 0.40
"""Share of the image that an object's outline is meant to cover: log-uniform between these."""

_FILLED = 0.55  # the areas of one scene's objects add up to less, or they cannot stand apart
_OVERLAP = 0.15  # largest share of one object's box that may lie under another's
_TRIES = 60
_SOLID = 0.75  # visible pixels over the hull's area, roughly, for most classes and views
_SPLITS = tuple(INSTANCES)
_SHEET = 6  # objects a side of a sheet


@dataclass(frozen=True)
class Object:
    """One object of a scene; position in world units, rotation in degrees about the vertical."""

    name: str
    instance: int
    color: str
    material: str
    position: tuple[float, float, float]
    scale: float
    rotation: float
    cell_px: tuple[int, int, int, int] | None = None

    def mesh(self) -> Mesh:
        """Return the object's surface in world coordinates."""
        placed = build(self.name, self.instance).scaled(self.scale)
        return placed.turned("z", self.rotation).moved(*self.position)


@dataclass(frozen=True)
class Scene:
    """One image to render. light: (azimuth, elevation, strength) of the key light, degrees."""

    index: int
    camera: Camera
    light: tuple[float, float, float]
    ground: float
    objects: tuple[Object, ...]


def sample_scene(seed: int, split: str, index: int, size: int) -> Scene:
    """Draw 1 to 5 objects of distinct classes, standing apart, none cut by the border."""
    rng = _generator(seed, split, index, 0)
    while True:
        scene = _background(rng, index, size, elevation=(24, 48), field_of_view=40)
        count = int(rng.integers(1, 6))
        names = rng.choice(list(CLASSES), count, replace=False)
        areas = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), count))
        while areas.sum() > _FILLED:
            areas = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), count))
        objects = _place(rng, scene.camera, names, np.sort(areas)[::-1], split)
        if objects is not None:
            return replace(scene, objects=tuple(objects))


def sample_sheet(seed: int, split: str, index: int, size: int) -> Scene:
    """Draw a grid of single objects, each in a cell of its own, for training an encoder."""
    rng = _generator(seed, split, index, 1)
    scene = _background(rng, index, size, elevation=(24, 60), field_of_view=30)
    cell = size // _SHEET
    objects = []
    for row in range(_SHEET):
        for column in range(_SHEET):
            corner = (column * cell, row * cell, (column + 1) * cell, (row + 1) * cell)
            place = (corner[0] + cell / 2, corner[1] + cell / 2)
            thing = _draw(rng, str(rng.choice(list(CLASSES))), split)
            box_side = rng.uniform(0.45, 0.8) * cell
            fitted = _fit(thing, scene.camera, place, box_side, by_area=False)
            if fitted is not None:
                objects.append(replace(fitted, cell_px=corner))
    return replace(scene, objects=tuple(objects))


def _generator(seed: int, split: str, index: int, kind: int) -> np.random.Generator:
    if split not in _SPLITS:
        raise InputError(f"unknown split {split!r}: use one of {', '.join(_SPLITS)}")
    if seed < 0 or index < 0:
        raise InputError(f"seed and image number are 0 or more, got {seed} and {index}")
    return np.random.default_rng([seed, _SPLITS.index(split), index, kind])


def _background(
    rng: np.random.Generator,
    index: int,
    size: int,
    elevation: tuple[float, float],
    field_of_view: float,
) -> Scene:
    camera = Camera(
        azimuth=float(rng.uniform(0, 360)),
        elevation=float(rng.uniform(*elevation)),
        distance=float(rng.uniform(11, 13)),
        field_of_view=field_of_view,
        size=size,
    )
    light = (
        float(camera.azimuth + rng.uniform(-100, 100)),
        float(rng.uniform(35, 65)),
        float(rng.uniform(2.2, 3.4)),
    )
    return Scene(index, camera, light, float(rng.uniform(0.32, 0.5)), ())


def _draw(rng: np.random.Generator, name: str, split: str) -> Object:
    return Object(
        name=name,
        instance=int(rng.choice(INSTANCES[split])),
        color=str(rng.choice(list(COLORS))),
        material="metal" if rng.random() < 0.25 else "matte",
        position=(0.0, 0.0, 0.0),
        scale=1.0,
        rotation=float(rng.uniform(0, 360)),
    )


def _place(
    rng: np.random.Generator, camera: Camera, names: np.ndarray, areas: np.ndarray, split: str
) -> list[Object] | None:
    """Find a place for each area (share of the image), largest first, or return None."""
    objects: list[Object] = []
    boxes: list[np.ndarray] = []
    for name, area in zip(names, areas, strict=True):
        thing = _draw(rng, str(name), split)
        for _ in range(_TRIES):
            place = tuple(rng.uniform(0.03, 0.97, 2) * camera.size)
            fitted = _fit(thing, camera, place, area * camera.size**2, by_area=True)
            if fitted is None:
                continue
            box = _box(fitted, camera)
            inside = box.min() >= 0 and box.max() <= camera.size
            if inside and all(_overlap(box, other) <= _OVERLAP for other in boxes):
                objects.append(fitted)
                boxes.append(box)
                break
        else:
            return None
    return objects


def _fit(
    thing: Object, camera: Camera, place: tuple[float, ...], target: float, by_area: bool
) -> Object | None:
    """Scale and move an object so that its box is centred on `place` and as large as `target`.

    target: pixels of the outline's area, or of the box's longer side. None where it cannot be.
    """
    foot = np.array(place, float)
    for _ in range(5):
        ground = camera.ground(foot[0], foot[1])
        if ground is None:
            return None
        thing = replace(thing, position=(float(ground[0]), float(ground[1]), 0.0))
        points, depth = camera.project(thing.mesh().vertices)
        if depth.min() < 1.0:
            return None
        low, high = points.min(axis=0), points.max(axis=0)
        side = (high - low).max()
        factor = np.sqrt(target / _outline_area(points)) if by_area else target / side
        thing = replace(thing, scale=thing.scale * float(np.clip(factor, 0.1, 10)))
        foot = foot + (np.array(place) - (low + high) / 2)
    return thing


def _box(thing: Object, camera: Camera) -> np.ndarray:
    points, _ = camera.project(thing.mesh().vertices)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _outline_area(points: np.ndarray) -> float:
    """Estimate the area (px) that projected vertices (n, 2) cover: most of their convex hull."""
    hull = _convex_hull(points)
    x, y = hull[:, 0], hull[:, 1]
    area = 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
    return max(_SOLID * area, 1e-6)


def _convex_hull(points: np.ndarray) -> np.ndarray:
    """Return the corners of the convex hull of points (n, 2), by Andrew's monotone chain.

    Points inside the polygon of the outermost ones in 16 directions are left out first, as Akl
    and Toussaint propose: it spares nearly all of the work.
    """
    angles = 2 * np.pi * np.arange(16) / 16
    outermost = points[(points @ np.stack([np.cos(angles), np.sin(angles)])).argmax(axis=0)]
    edges = np.roll(outermost, -1, axis=0) - outermost
    offsets = points[:, None] - outermost
    sides = edges[:, 0] * offsets[..., 1] - edges[:, 1] * offsets[..., 0]
    # Points on an edge stay, and an edge between one point and itself says nothing.
    inside = ((sides > 1e-9) | (np.abs(edges).sum(axis=1) == 0)).all(axis=1)
    points = points[~inside]
    points = points[np.lexsort((points[:, 1], points[:, 0]))]
    chains = []
    for run in (points, points[::-1]):
        chain: list[np.ndarray] = []
        for point in run:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2], chain[-1]
                if (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax) > 0:
                    break
                chain.pop()
            chain.append(point)
        chains.append(chain[:-1])
    return np.array(chains[0] + chains[1])


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of the smaller of two pixel boxes that lies in the other."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    smaller = min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod())
    return float(sides.prod() / max(smaller, 1e-9))
