"""The object classes: one small function each, from a seeded generator to a mesh.

An instance is one draw of a class's proportions; the same instance id is the same shape in every
scene of every set. To add a class, write its function and name it here.
"""

import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from finesight.scenes.meshes import Mesh, standing
from finesight.scenes.objects import belongings, furniture, vehicles

CLASSES: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "airplane": vehicles.airplane,
    "bathtub": furniture.bathtub,
    "bed": furniture.bed,
    "bench": furniture.bench,
    "bottle": belongings.bottle,
    "bowl": belongings.bowl,
    "bus": vehicles.bus,
    "camera": belongings.camera,
    "car": vehicles.car,
    "chair": furniture.chair,
    "faucet": furniture.faucet,
    "guitar": belongings.guitar,
    "headphones": belongings.headphones,
    "helmet": belongings.helmet,
    "knife": belongings.knife,
    "lamp": furniture.lamp,
    "laptop": belongings.laptop,
    "mailbox": furniture.mailbox,
    "mug": belongings.mug,
    "pillow": belongings.pillow,
    "rocket": vehicles.rocket,
    "sailboat": vehicles.sailboat,
    "skateboard": vehicles.skateboard,
    "sofa": furniture.sofa,
    "table": furniture.table,
}

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

INSTANCES = {"train": range(0, 70), "val": range(70, 80), "test": range(80, 100)}
"""The instance ids of each split: what is tested was never seen in training."""


@lru_cache(maxsize=512)
def build(name: str, instance: int) -> Mesh:
    """Return one instance of a class, standing on the ground, its longest side 1."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), instance])
    return standing(CLASSES[name](rng))
