"""Proposers by name: a builder for each kind, which a name belongs to; and efforts, in words."""

import re
from collections.abc import Callable

from finesight.encoders.capabilities import NO_MODEL, Capabilities
from finesight.encoders.dense import PooledTower
from finesight.errors import InputError
from finesight.proposals.coarse_to_fine import build_coarse_to_fine
from finesight.proposals.dense import build_dense
from finesight.proposals.detector import DETECT, DetectorSpec, build_detector
from finesight.proposals.finder_proposer import OBJECTS, build_finder
from finesight.proposals.geometry_proposer import GeometryProposer, build_geometry
from finesight.proposals.proposer import Proposer, unknown_regions
from finesight.proposals.sparing import SparingProposer

Builder = Callable[[str, Capabilities], Proposer]
"""Builds a proposer: (the whole name, what the model offers) -> Proposer.

It raises InputError, with what to write instead, for a name that it cannot read and for a model
that lacks what it needs.
"""

REGISTRY: dict[str, Builder] = {
    "full": build_geometry,
    "cc": build_geometry,
    "grid": build_geometry,
    "cover": build_geometry,
    "objects": build_finder,
    "closer": build_coarse_to_fine,
    "dense": build_dense,
    DETECT: build_detector,
}
"""From how the names of a kind begin to its builder; where several fit, the longest counts."""

EFFORTS = ("low", "normal", "high")
"""How much may be spent on an image, in words."""

WITH_FINDER = {"low": "objects256x5", "normal": "objects384x12", "high": "objects384x36"}
"""Efforts with a model that has a finder: at most 8, 16 and 40 forward passes."""

WITHOUT_FINDER = {"low": "closer8", "normal": "closer16", "high": "closer40"}
"""Efforts with any other model: the same forward passes, from coarse to fine."""

_SPARING = re.compile(r"([^:~]+)~([0-9]{1,3})")


def parse_proposer(name: str, capabilities: Capabilities = NO_MODEL) -> Proposer:
    """Return the proposer of a name: an effort, or what one of REGISTRY's builders reads.

    objects256x5 looks for 5 objects in a canvas of 256 pixels, objects256x10at48 encodes them in
    crops of 48 pixels; closer16 goes from coarse to fine in 16 forward passes; dense128 reads the
    windows of a canvas of 128 pixels; cc10~8 leaves out windows of cc10 that add at most 8 grey
    levels (sparing.py); "detect:" before a name asks a detector (detector.py).
    capabilities: of the model. Raises InputError for an unknown name, and what it cannot do.
    """
    name = resolve_effort(name, capabilities)
    if match := _SPARING.fullmatch(name):
        proposer = parse_proposer(match[1], capabilities)
        if not isinstance(proposer, GeometryProposer):
            raise unknown_regions(name)
        return SparingProposer(proposer.regions, float(match[2]))
    beginnings = [beginning for beginning in REGISTRY if name.startswith(beginning)]
    if not beginnings:
        raise unknown_regions(name)
    return REGISTRY[max(beginnings, key=len)](name, capabilities)


def resolve_effort(name: str, capabilities: Capabilities = NO_MODEL) -> str:
    """Return the regions that an effort stands for with a model; other names stay as they are.

    A detector's file or folder is named by its whole path, so that the name holds everywhere.
    """
    if name.startswith(DETECT):
        return DetectorSpec.parse(name).name()
    if name not in EFFORTS:
        return name
    if capabilities.objects is None:
        return WITHOUT_FINDER[name]
    if name == "low" and isinstance(capabilities.dense, PooledTower):
        # Crops of 7/8 of the tower's input's side cost 3/4.
        return f"objects256x7at{capabilities.dense.preprocessing.side * 7 // 8}"
    return WITH_FINDER[name]


def carried_over(name: str, capabilities: Capabilities = NO_MODEL) -> str:
    """Return the regions of another model in the place of one that had those of `name`.

    The same; those of the same effort where it cannot.
    """
    try:
        parse_proposer(name, capabilities)
    except InputError:
        efforts = {meaning: effort for effort, meaning in WITH_FINDER.items()}
        small = (match := OBJECTS.fullmatch(name)) and match[3]
        return resolve_effort("low" if small else efforts.get(name, "normal"), capabilities)
    return name


def sparing(name: str, tolerance: int) -> str:
    """Return the name of geometric regions without those that add at most `tolerance` levels.

    Raises InputError for a tolerance out of 0..255, and for regions that an image's pixels decide.
    """
    if not 0 <= tolerance <= 255:
        raise InputError(f"a tolerance is a number of grey levels from 0 to 255, got {tolerance}")
    if name in EFFORTS or name.startswith(("objects", "closer", "dense", DETECT)):
        raise InputError(
            "a tolerance goes with windows that are known beforehand, of --smallest or --regions "
            f"cc10, not with {name}"
        )
    return f"{name}~{tolerance}"
