"""What is in a scene: objects, places, camera and light, drawn from a seed.

Image i of a `Recipe` depends on the recipe and i alone, whatever else is drawn.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from finesight.errors import InputError
from finesight.research.scenes import looks
from finesight.research.scenes.camera import Camera
from finesight.research.scenes.objects import COLORS, FRONT, FRONTED, INSTANCES, PROCEDURAL, Shapes
from finesight.research.scenes.placing import Pose, Stage, fit_area, fit_side, share_in_frame

AREAS = (0.0005, 0.60)
"""Share of the image that objects cover: log-uniform between these."""
PAPER_AREAS = (0.0001, 0.97)
"""The range of DetailCLIP's CLEVR-DS."""
SMALL, LARGE = 0.01, 0.05
"""Objects below the one and above the other are the small and the large ones (METHODS.md)."""
KINDS = ("scenes", "objects", "identities")
MODES = ("mix", "small", "large")

_FILLED = 1.0  # the areas of one scene's objects add up to less
_TRIES = 12
_KEPT = 8  # views that are tried for the areas of a scene before others are drawn
_MARGIN = 0.01  # kept to the edges, as a share of the image's side
_WHOLE_BELOW = 0.2  # objects above this share of the image may reach over its edges ...
_IN_FRAME = 0.55  # ... with this share of their box left, unless they fill nearly all of it
_CLUTTER_AREAS = (0.0003, 0.04)
_SHEET = 6  # objects a side of a sheet


@dataclass(frozen=True)
class Object:
    """One named object of a scene; cell_px: on sheets, xyxy of the cell that is its own."""

    name: str
    instance: int
    color: str
    material: str
    pose: Pose
    cell_px: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Item:
    """Whose image it is: source "shop" or "user", and the number of its pair and of its style."""

    source: str
    pair_id: int
    style: int


@dataclass(frozen=True)
class Scene:
    """One image to render; of an item, the first object is the item."""

    index: int
    camera: Camera
    light: looks.Light
    ground: looks.Ground
    objects: tuple[Object, ...] = ()
    clutter: tuple[looks.Clutter, ...] = ()
    item: Item | None = None


@dataclass(frozen=True)
class Recipe:
    """What a set of scenes is drawn from.

    kind: "scenes", "objects" for sheets, or "identities"; split: "train", "val" or "test", whose
    instances are used; size: the images' side in pixels; mode: "mix", "small" or "large"; look:
    "plain" or "textured"; areas: smallest and largest share of the image that an object covers.
    Raises InputError where a part is unknown or out of range.
    """

    kind: str = "scenes"
    seed: int = 0
    split: str = "train"
    size: int = 640
    mode: str = "mix"
    look: str = "plain"
    areas: tuple[float, float] = AREAS
    shapes: Shapes = PROCEDURAL

    def __post_init__(self) -> None:
        choices = {"kind": KINDS, "split": INSTANCES, "mode": MODES, "look": looks.LOOKS}
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"unknown {name} {value!r}: use one of {', '.join(known)}")
        if self.seed < 0 or self.size < 64:
            raise InputError(
                f"the seed is 0 or more and the size 64 or more, got {self.seed} and {self.size}"
            )
        if not 0 < self.areas[0] < self.areas[1] < 1:
            raise InputError(
                "areas are two shares of the image, 0 < smallest < largest < 1, got "
                f"{self.areas[0]} and {self.areas[1]}"
            )
        if self.areas[0] > _FILLED / 10:
            raise InputError(
                f"five objects of {self.areas[0]:.0%} of the image do not fit: let the smallest "
                f"area be at most {_FILLED / 10:.0%}"
            )
        if any(low >= high for low, high in self.ranges):
            raise InputError(
                f"mode {self.mode} needs areas on both sides of {SMALL} and {LARGE}, got "
                f"{self.areas[0]} to {self.areas[1]}"
            )

    @property
    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The areas of query objects and of distractors."""
        low, high = self.areas
        if self.mode == "small":
            return (low, min(SMALL, high)), (max(SMALL, low), high)
        if self.mode == "large":
            return (max(LARGE, low), high), (low, min(LARGE, high))
        return self.areas, self.areas

    def generator(self, index: int, stream: str = "image") -> Generator:
        """Return the random numbers of image `index`, or of pair `index` of an identities set.

        The look is no part of them: it does not change which objects are drawn.
        """
        if index < 0:
            raise InputError(f"images are numbered from 0, got {index}")
        kind = KINDS.index(self.kind) if stream == "image" else len(KINDS)
        split = tuple(INSTANCES).index(self.split)
        return np.random.default_rng([self.seed, split, index, kind, MODES.index(self.mode)])


def sample_scene(recipe: Recipe, index: int) -> Scene:
    """Draw 1 to 5 objects of distinct classes, standing apart, each at least half seen."""
    rng = recipe.generator(index)
    # Drawn once: drawn again after a failure, full scenes and awkward classes would be rarer.
    count = int(rng.integers(1, 6))
    names = [str(name) for name in rng.choice(recipe.shapes.classes, count, replace=False)]
    query, distractor = recipe.ranges
    others = rng.random(count - 1) < (0 if recipe.mode == "mix" else 1 / 3)
    low, high = np.log([query, *(distractor if other else query for other in others)]).T
    while True:
        areas = np.exp(rng.uniform(low, high))
        if count > 1 and areas.sum() > _FILLED:
            continue
        for _ in range(_KEPT):
            scene = background(rng, recipe, index, field_of_view=40)
            stage = Stage(scene.camera)
            objects = _place(rng, recipe, stage, names, areas)
            if objects is not None:
                clutter = strew(rng, looks.LOOKS[recipe.look], stage)
                return replace(scene, objects=tuple(objects), clutter=tuple(clutter))


def sample_sheet(recipe: Recipe, index: int) -> Scene:
    """Draw a grid of single objects, each in a cell of its own, for training an encoder."""
    rng = recipe.generator(index)
    scene = background(rng, recipe, index, field_of_view=30, elevation=(24, 60))
    cell = recipe.size // _SHEET
    objects = []
    for y, x in itertools.product(range(0, _SHEET * cell, cell), repeat=2):
        thing = draw(rng, recipe, scene.camera, str(rng.choice(recipe.shapes.classes)))
        place, side = (x + cell / 2, y + cell / 2), float(rng.uniform(0.45, 0.8) * cell)
        pose = fit_side(thing.pose, scene.camera, place, side)
        if pose is not None:
            objects.append(replace(thing, pose=pose, cell_px=(x, y, x + cell, y + cell)))
    return replace(scene, objects=tuple(objects))


def background(
    rng: Generator,
    recipe: Recipe,
    index: int,
    field_of_view: float,
    elevation: tuple[float, float] | None = None,
) -> Scene:
    """Draw camera, light and ground of a look; elevation: the camera's, else the look's."""
    look = looks.LOOKS[recipe.look]
    camera = Camera(
        azimuth=float(rng.uniform(0, 360)),
        elevation=float(rng.uniform(*(elevation or look.elevation))),
        distance=float(rng.uniform(11, 13)),
        field_of_view=field_of_view,
        size=recipe.size,
    )
    return Scene(index, camera, look.light(rng, camera), look.ground(rng))


def draw(rng: Generator, recipe: Recipe, camera: Camera, name: str) -> Object:
    """Draw an object of a class in any colour, material and view; where it stands is left open."""
    turn = float(rng.uniform(-180, 180))
    instance = int(rng.choice(recipe.shapes.instances[recipe.split]))
    shape = recipe.shapes.build(name, instance)
    return Object(
        name=name,
        instance=instance,
        color=str(rng.choice(list(COLORS))),
        material="metal" if rng.random() < 0.5 else "matte",
        pose=Pose(shape, rotation=camera.azimuth + turn * (FRONT / 180 if name in FRONTED else 1)),
    )


def _place(
    rng: Generator, recipe: Recipe, stage: Stage, names: list[str], areas: np.ndarray
) -> list[Object] | None:
    """Find a place for each object, largest first, or return None."""
    camera = stage.camera
    objects: dict[int, Object] = {}
    for number in np.argsort(-areas):
        area = float(areas[number])
        for _ in range(_TRIES):
            thing = draw(rng, recipe, camera, names[number])
            pose = fit_area(thing.pose, camera, rng.uniform(0, 1, 2), area, _MARGIN * camera.size)
            if pose is None:
                continue
            whole = 0.999 if area < _WHOLE_BELOW else min(_IN_FRAME, 1.1 - area)
            if share_in_frame(pose, camera) >= whole and stage.take(pose):
                objects[int(number)] = replace(thing, pose=pose)
                break
        else:
            return None
    return [objects[i] for i in sorted(objects)]


def strew(rng: Generator, look: looks.Look, stage: Stage) -> list[looks.Clutter]:
    """Add unnamed shapes between the objects, cut by the border or not, hiding less than half."""
    low, high = look.clutter
    clutter = []
    for _ in range(int(rng.integers(low, high + 1))):
        color, metal = looks.unnamed_color(rng), bool(rng.random() < 0.3)
        area = looks.log_uniform(rng, *_CLUTTER_AREAS)
        for _ in range(_TRIES // 3):
            pose = Pose(looks.unnamed_shape(rng), rotation=float(rng.uniform(0, 360)))
            fitted = fit_area(pose, stage.camera, rng.uniform(0, 1, 2), area)
            if fitted is not None and stage.take(fitted, named=False):
                clutter.append(looks.Clutter(fitted, color, metal))
                break
    return clutter
