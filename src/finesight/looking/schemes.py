"""Ways of looking by name, and what an effort means for a model."""

import re

from finesight.encoders import Encoder
from finesight.encoders.dense import PooledTower
from finesight.encoders.objects import COARSEST
from finesight.encoders.sight import PLAIN, Sight
from finesight.errors import InputError
from finesight.images import Picture
from finesight.looking.closer import DESCENTS
from finesight.looking.ways import (
    CloserLooking,
    DenseLooking,
    FixedLooking,
    Glimpse,
    Looking,
    ObjectLooking,
    SparingLooking,
)
from finesight.regions import parse_regions
from finesight.types import ImageVectors

__all__ = [
    "EFFORTS",
    "OF_OBJECTS",
    "OF_WINDOWS",
    "Glimpse",
    "Looking",
    "carried_over",
    "cover_for",
    "finds_objects",
    "look_by",
    "parse_looking",
    "resolve_effort",
    "sparing",
]

EFFORTS = ("low", "normal", "high")
"""How much may be spent on an image, in words."""

OF_OBJECTS = {"low": "objects256x5", "normal": "objects384x12", "high": "objects384x36"}
"""Efforts with a model that tells where something is: at most 8, 16 and 40 passes."""

SMALL_CROPS = "objects256x7at{}"
"""The low effort where a tower takes crops of 7/8 of its input's side, which cost 3/4."""

OF_WINDOWS = {"low": "closer8", "normal": "closer16", "high": "closer40"}
"""Efforts with any other model: the same passes, from coarse to fine."""

DETECT = "detect:"
"""What stands before the name of a detector (looking/detector.py)."""

_OBJECTS = re.compile(r"objects([0-9]{2,4})x([0-9]{1,3})(?:at([0-9]{2,3}))?")
_CLOSER = re.compile(r"closer([0-9]{1,3})")
_DENSE = re.compile(r"dense([0-9]{2,4})")
_SPARING = re.compile(r"(.+)~([0-9]{1,3})")


def parse_looking(name: str, sight: Sight = PLAIN) -> Looking:
    """Return the way of looking of a name: an effort, objectsSxN, denseS, or of `parse_regions`.

    objects256x5 looks for 5 objects in a canvas of 256 pixels, objects256x10at48 encodes them in
    crops of 48 pixels; closer16 looks in 16 passes from coarse to fine; dense128 reads the windows
    of a canvas of 128 pixels; cc10~8 leaves out windows of cc10 that add at most 8 grey levels to
    what is seen (`looking.sparing`); "detect:" before a name asks a detector (looking/detector.py).
    sight: of the model. Raises InputError for an unknown name, and for what the model cannot do.
    """
    if name.startswith(DETECT):
        from finesight.looking.detector import parse_detector  # which looks by these schemes

        return parse_detector(name)
    name = resolve_effort(name, sight)
    if match := _OBJECTS.fullmatch(name):
        side = int(match[3]) if match[3] else None
        return _looking_for_objects(name, sight, int(match[1]), int(match[2]), side)
    if match := _CLOSER.fullmatch(name):
        return _looking_closer(name, sight, int(match[1]))
    if match := _DENSE.fullmatch(name):
        return _looking_densely(name, sight, int(match[1]))
    if match := _SPARING.fullmatch(name):
        return SparingLooking(parse_regions(match[1]), float(match[2]))
    return FixedLooking(parse_regions(name))


def _looking_for_objects(
    name: str, sight: Sight, canvas: int, count: int, side: int | None
) -> ObjectLooking:
    if sight.objects is None:
        raise InputError(
            f"{name} needs a model that tells where objects are, as the bundled mini does: "
            "use ccN, or teach the model with `finesight train objectness`"
        )
    if canvas % COARSEST:
        raise InputError(f"{name}: a canvas has a multiple of {COARSEST} pixels a side")
    if side is None:
        return ObjectLooking(sight.objects, canvas, count)
    tower = sight.dense
    if not isinstance(tower, PooledTower):
        raise InputError(f"{name}: this model's crops have one size; use objects{canvas}x{count}")
    if not tower.stride <= side < tower.preprocessing.side:
        raise InputError(
            f"{name}: crops have from {tower.stride} to {tower.preprocessing.side - 1} pixels; "
            "without a number, the model's own"
        )
    return ObjectLooking(sight.objects, canvas, count, side, tower)


def _looking_closer(name: str, sight: Sight, cost: int) -> CloserLooking:
    if cost not in DESCENTS:
        known = ", ".join(f"closer{each}" for each in DESCENTS)
        raise InputError(f"unknown regions {name!r}: use one of {known}")
    if sight.encoder is None:
        raise InputError(f"{name} chooses windows by what an encoder sees: name a model")
    return CloserLooking(sight.encoder, cost)


def _looking_densely(name: str, sight: Sight, canvas: int) -> DenseLooking:
    tower = sight.dense
    if tower is None:
        raise InputError(
            f"{name} needs a model that reads windows out of one canvas: mini, or a bundle that "
            "`finesight export --dense` wrote"
        )
    if canvas < tower.preprocessing.side or canvas % tower.stride:
        raise InputError(
            f"{name}: a canvas has at least the {tower.preprocessing.side} pixels of the model's "
            f"input, and a multiple of {tower.stride}"
        )
    return DenseLooking(tower, canvas)


def look_by(picture: Picture, encoder: Encoder, looking: Looking) -> ImageVectors:
    """Look at one picture: boxes and embeddings, the whole image first."""
    glimpse, crops = looking.glimpse(picture, encoder.preprocessing)
    return glimpse.complete(encoder.encode_images(crops))


def resolve_effort(name: str, sight: Sight = PLAIN) -> str:
    """Return the name that an effort stands for with a model; other names stay as they are.

    A detector's file or folder is named by its whole path, so that the name holds everywhere.
    """
    if name.startswith(DETECT):
        from finesight.looking.detector import Request  # which looks by these schemes

        return Request.parse(name).name()
    if name not in EFFORTS:
        return name
    if name == "low" and sight.objects is not None and isinstance(sight.dense, PooledTower):
        return SMALL_CROPS.format(sight.dense.preprocessing.side * 7 // 8)
    return (OF_WINDOWS if sight.objects is None else OF_OBJECTS)[name]


def finds_objects(name: str) -> bool:
    """Whether a way of looking (no effort) depends on what finds objects."""
    return _OBJECTS.fullmatch(name) is not None


def carried_over(name: str, sight: Sight = PLAIN) -> str:
    """Return how another model looks in the place of one that looked by `name`.

    The same way; by the same effort where it cannot.
    """
    try:
        parse_looking(name, sight)
    except InputError:
        efforts = {meaning: effort for effort, meaning in OF_OBJECTS.items()}
        small = (match := _OBJECTS.fullmatch(name)) and match[3]
        return resolve_effort("low" if small else efforts.get(name, "normal"), sight)
    return name


def cover_for(smallest: float, effective_scale: float) -> str:
    """Return the name of the cover in which a thing of `smallest` pixels is still named.

    effective_scale: of the model, the smallest share of a crop's side that a thing may take.
    """
    if smallest < 1:
        raise InputError(f"the smallest object has at least 1 pixel, got {smallest:g}")
    return f"cover{smallest:.0f}r{max(1.1, 1 / effective_scale):.1f}"


def sparing(name: str, tolerance: int) -> str:
    """Return the name of a scheme of windows without those that add at most `tolerance` levels.

    Raises InputError for a tolerance out of 0..255, and for a way of looking that is none.
    """
    if not 0 <= tolerance <= 255:
        raise InputError(f"a tolerance is a number of grey levels from 0 to 255, got {tolerance}")
    if name in EFFORTS or any(w.fullmatch(name) for w in (_OBJECTS, _CLOSER, _DENSE)):
        raise InputError(
            "a tolerance goes with windows that are known beforehand, of --smallest or --regions "
            f"cc10, not with {name}"
        )
    return f"{name}~{tolerance}"
