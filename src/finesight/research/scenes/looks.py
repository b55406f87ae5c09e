"""How a scene looks apart from its objects: ground, light, sky, and shapes without a name.

Textured scenes are strewn with such shapes, so that not all that stands there is an object.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from finesight.research.scenes.camera import Camera
from finesight.research.scenes.meshes import Mesh, join, standing
from finesight.research.scenes.placing import Pose
from finesight.research.scenes.solids import box, cylinder, ellipsoid, extrude, ring

Color = tuple[float, float, float]

PATTERNS = ("noise", "voronoi", "wave", "brick", "checker", "magic")
"""The procedural patterns of textured grounds, as Blender names them."""


@dataclass(frozen=True)
class Ground:
    """The ground's material: `pattern` "plain", or one of PATTERNS between two linear colours.

    scale: repeats per world unit, about; rotation: of the pattern, degrees; contrast: 0..1, how
    sharply one colour turns into the other.
    """

    pattern: str
    colors: tuple[Color, Color]
    scale: float = 1.0
    rotation: float = 0.0
    contrast: float = 0.5


@dataclass(frozen=True)
class Light:
    """A sun and a sky: angles in degrees, softness the sun's diameter, sky a linear colour."""

    azimuth: float
    elevation: float
    strength: float
    softness: float
    sky: Color
    sky_strength: float


@dataclass(frozen=True)
class Look:
    """One kind of scenes: ranges for the camera's elevation, how much clutter, ground and light."""

    elevation: tuple[float, float]
    clutter: tuple[int, int]
    ground: Callable[[np.random.Generator], Ground]
    light: Callable[[np.random.Generator, Camera], Light]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _plain_ground(rng: np.random.Generator) -> Ground:
    shade = float(rng.uniform(0.32, 0.5))
    return Ground("plain", ((shade,) * 3, (shade,) * 3))


def _plain_light(rng: np.random.Generator, camera: Camera) -> Light:
    azimuth = float(camera.azimuth + rng.uniform(-100, 100))
    elevation, strength = float(rng.uniform(35, 65)), float(rng.uniform(2.2, 3.4))
    return Light(azimuth, elevation, strength, 12.0, (0.9, 0.95, 1.0), 0.75)


def _textured_ground(rng: np.random.Generator) -> Ground:
    return Ground(
        pattern=str(rng.choice(PATTERNS)),
        colors=(unnamed_color(rng), unnamed_color(rng)),
        scale=log_uniform(rng, 0.1, 1.2),
        rotation=float(rng.uniform(0, 180)),
        contrast=float(rng.uniform(0.1, 1.0)),
    )


def _textured_light(rng: np.random.Generator, camera: Camera) -> Light:
    warm = float(rng.uniform(0, 1))
    return Light(
        azimuth=float(camera.azimuth + rng.uniform(0, 360)),
        elevation=float(rng.uniform(18, 60)),
        strength=float(rng.uniform(2.5, 5.0)),
        softness=float(rng.uniform(0.5, 4.0)),
        sky=(0.55 + 0.35 * warm, 0.72 + 0.1 * warm, 1.0 - 0.25 * warm),
        sky_strength=float(rng.uniform(0.35, 0.8)),
    )


LOOKS = {
    "plain": Look((24, 48), (0, 0), _plain_ground, _plain_light),
    "textured": Look((11, 48), (5, 14), _textured_ground, _textured_light),
}
"""The looks by name. Plain is CLEVR's; in textured scenes, what stands out is not what is named."""


@dataclass(frozen=True)
class Clutter:
    """One unnamed shape in its pose; color: linear RGB 0..1."""

    pose: Pose
    color: Color
    metal: bool


def unnamed_shape(rng: np.random.Generator) -> Mesh:
    """Draw a shape that is none of the classes, standing on the ground, its longest side 1."""
    make = _SHAPES[int(rng.integers(len(_SHAPES)))]
    mesh = make(rng).scaled(*rng.uniform(0.5, 1.5, 3))
    mesh = mesh.turned("x", float(rng.uniform(-90, 90))).turned("y", float(rng.uniform(-90, 90)))
    return standing(mesh)


def unnamed_color(rng: np.random.Generator) -> Color:
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
