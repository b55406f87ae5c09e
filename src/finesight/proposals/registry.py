"""Ways of looking by name, and what an effort means for a model."""

import re

from finesight.encoders import Encoder
from finesight.encoders.dense import PooledTower
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.proposals.capabilities import NO_MODEL, Capabilities
from finesight.proposals.coarse_to_fine import DESCENTS
from finesight.proposals.finder import COARSEST
from finesight.proposals.geometry import parse_regions
from finesight.proposals.proposers import (
    CoarseToFineProposer,
    DenseProposer,
    FinderProposer,
    GeometryProposer,
    Proposals,
    Proposer,
    SparingProposer,
)
from finesight.types import ImageVectors

__all__ = [
    "EFFORTS",
    "WITHOUT_FINDER",
    "WITH_FINDER",
    "Proposals",
    "Proposer",
    "carried_over",
    "cover_for",
    "encode_proposals",
    "finds_objects",
    "parse_proposer",
    "resolve_effort",
    "sparing",
]

EFFORTS = ("low", "normal", "high")
"""How much may be spent on an image, in words."""

WITH_FINDER = {"low": "objects256x5", "normal": "objects384x12", "high": "objects384x36"}
"""Efforts with a model that tells where something is: at most 8, 16 and 40 passes."""

SMALL_CROPS = "objects256x7at{}"
"""The low effort where a tower takes crops of 7/8 of its input's side, which cost 3/4."""

WITHOUT_FINDER = {"low": "closer8", "normal": "closer16", "high": "closer40"}
"""Efforts with any other model: the same passes, from coarse to fine."""

DETECT = "detect:"
"""What stands before the name of a detector (proposals/detector.py)."""

_OBJECTS = re.compile(r"objects([0-9]{2,4})x([0-9]{1,3})(?:at([0-9]{2,3}))?")
_CLOSER = re.compile(r"closer([0-9]{1,3})")
_DENSE = re.compile(r"dense([0-9]{2,4})")
_SPARING = re.compile(r"(.+)~([0-9]{1,3})")


def parse_proposer(name: str, capabilities: Capabilities = NO_MODEL) -> Proposer:
    """Return the way of looking of a name: an effort, objectsSxN, denseS, or of `parse_regions`.

    objects256x5 looks for 5 objects in a canvas of 256 pixels, objects256x10at48 encodes them in
    crops of 48 pixels; closer16 looks in 16 passes from coarse to fine; dense128 reads the windows
    of a canvas of 128 pixels; cc10~8 leaves out windows of cc10 that add at most 8 grey levels to
    what is seen (`proposals.sparing`); "detect:" before a name asks a detector (detector.py).
    capabilities: of the model. Raises InputError for an unknown name, and what it cannot do.
    """
    if name.startswith(DETECT):
        from finesight.proposals.detector import parse_detector  # which looks by these schemes

        return parse_detector(name)
    name = resolve_effort(name, capabilities)
    if match := _OBJECTS.fullmatch(name):
        side = int(match[3]) if match[3] else None
        return _finder_proposer(name, capabilities, int(match[1]), int(match[2]), side)
    if match := _CLOSER.fullmatch(name):
        return _coarse_to_fine_proposer(name, capabilities, int(match[1]))
    if match := _DENSE.fullmatch(name):
        return _dense_proposer(name, capabilities, int(match[1]))
    if match := _SPARING.fullmatch(name):
        return SparingProposer(parse_regions(match[1]), float(match[2]))
    return GeometryProposer(parse_regions(name))


def _finder_proposer(
    name: str, capabilities: Capabilities, canvas: int, count: int, side: int | None
) -> FinderProposer:
    if capabilities.objects is None:
        raise InputError(
            f"{name} needs a model that tells where objects are, as the bundled mini does: "
            "use ccN, or teach the model with `finesight train objectness`"
        )
    if canvas % COARSEST:
        raise InputError(f"{name}: a canvas has a multiple of {COARSEST} pixels a side")
    if side is None:
        return FinderProposer(capabilities.objects, canvas, count)
    tower = capabilities.dense
    if not isinstance(tower, PooledTower):
        raise InputError(f"{name}: this model's crops have one size; use objects{canvas}x{count}")
    if not tower.stride <= side < tower.preprocessing.side:
        raise InputError(
            f"{name}: crops have from {tower.stride} to {tower.preprocessing.side - 1} pixels; "
            "without a number, the model's own"
        )
    return FinderProposer(capabilities.objects, canvas, count, side, tower)


def _coarse_to_fine_proposer(
    name: str, capabilities: Capabilities, cost: int
) -> CoarseToFineProposer:
    if cost not in DESCENTS:
        known = ", ".join(f"closer{each}" for each in DESCENTS)
        raise InputError(f"unknown regions {name!r}: use one of {known}")
    if capabilities.encoder is None:
        raise InputError(f"{name} chooses windows by what an encoder sees: name a model")
    return CoarseToFineProposer(capabilities.encoder, cost)


def _dense_proposer(name: str, capabilities: Capabilities, canvas: int) -> DenseProposer:
    tower = capabilities.dense
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
    return DenseProposer(tower, canvas)


def encode_proposals(picture: Picture, encoder: Encoder, proposer: Proposer) -> ImageVectors:
    """Look at one picture: boxes and embeddings, the whole image first."""
    proposals, crops = proposer.propose(picture, encoder.preprocessing)
    return proposals.complete(encoder.encode_images(crops))


def resolve_effort(name: str, capabilities: Capabilities = NO_MODEL) -> str:
    """Return the name that an effort stands for with a model; other names stay as they are.

    A detector's file or folder is named by its whole path, so that the name holds everywhere.
    """
    if name.startswith(DETECT):
        from finesight.proposals.detector import Request  # which looks by these schemes

        return Request.parse(name).name()
    if name not in EFFORTS:
        return name
    if (
        name == "low"
        and capabilities.objects is not None
        and isinstance(capabilities.dense, PooledTower)
    ):
        return SMALL_CROPS.format(capabilities.dense.preprocessing.side * 7 // 8)
    return (WITHOUT_FINDER if capabilities.objects is None else WITH_FINDER)[name]


def finds_objects(name: str) -> bool:
    """Whether a way of looking (no effort) depends on what finds objects."""
    return _OBJECTS.fullmatch(name) is not None


def carried_over(name: str, capabilities: Capabilities = NO_MODEL) -> str:
    """Return how another model looks in the place of one that looked by `name`.

    The same way; by the same effort where it cannot.
    """
    try:
        parse_proposer(name, capabilities)
    except InputError:
        efforts = {meaning: effort for effort, meaning in WITH_FINDER.items()}
        small = (match := _OBJECTS.fullmatch(name)) and match[3]
        return resolve_effort("low" if small else efforts.get(name, "normal"), capabilities)
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
