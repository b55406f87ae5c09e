"""The object classes: one small function each, from a seeded generator to a mesh.

An instance is one draw of a class's proportions; the same instance id is the same shape in every
scene of every set. To add a class, write its function in one of the modules.
"""

import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from finesight.research.scenes.meshes import Mesh, standing
from finesight.research.scenes.objects import belongings, devices, furniture, household, outdoors

CLASSES: dict[str, Callable[[np.random.Generator], Mesh]] = {
    name.replace("_", " "): make
    for module in (belongings, devices, furniture, household, outdoors)
    for name, make in vars(module).items()
    if inspect.isfunction(make) and make.__module__ == module.__name__ and name[0] != "_"
}
"""What builds an instance of each class: the public functions of these modules, by their names."""

COLORS: dict[str, tuple[float, float, float]] = {
    "gray": (87, 87, 87),
    "red": (190, 30, 34),
    "blue": (34, 70, 205),
    "green": (30, 130, 26),
    "brown": (118, 68, 24),
    "purple": (126, 36, 178),
    "cyan": (40, 196, 200),
    "yellow": (250, 222, 36),
}
"""The eight colours of CLEVR, as sRGB 0..255."""

NEVER_NAMED = (
    *("bag", "birdhouse", "camera", "chair", "clock", "faucet", "helmet", "jar", "microphone"),
    *("motorcycle", "piano", "rocket", "stove", "table", "train"),
)
"""Classes that are in every set but that no fusion's training or validation may name."""

INSTANCES = {"train": range(0, 70), "val": range(70, 80), "test": range(80, 90)}
"""The instance ids of each split: what is tested was never seen in training."""


FRONTED = frozenset(
    {"bookshelf", "cabinet", "clock", "loudspeaker", "microwave", "monitor", "piano"}
    | {"stove", "washing machine"}
)
"""Classes that are a plain box from behind: their front (+x) stays within FRONT of the camera."""
FRONT = 65.0


@dataclass(frozen=True)
class Shapes:
    """Where the objects' shapes come from.

    name: what a rendered set says of its shapes; classes: their names; instances: the instance ids
    of each split, the same for every class; build: returns one instance of a class, standing on the
    ground, its longest side 1.
    """

    name: str
    classes: tuple[str, ...]
    instances: Mapping[str, Sequence[int]]
    build: Callable[[str, int], Mesh]


@lru_cache(maxsize=4096)
def build(name: str, instance: int) -> Mesh:
    """Return one procedural instance of a class, standing on the ground, its longest side 1."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), instance])
    return standing(CLASSES[name](rng))


PROCEDURAL = Shapes("procedural", tuple(sorted(CLASSES)), INSTANCES, build)
"""The shapes that this package builds itself; the same id is the same shape everywhere."""
