"""Efforts: how much may be spent on an image, in words, and the regions they stand for."""

from finesight.encoders.dense import PooledTower
from finesight.proposals.capabilities import NO_MODEL, Capabilities
from finesight.proposals.detector_spec import DETECT, DetectorSpec

EFFORTS = ("low", "normal", "high")
"""How much may be spent on an image, in words."""

WITH_FINDER = {"low": "objects256x5", "normal": "objects384x12", "high": "objects384x36"}
"""Efforts with a model that has a finder: at most 8, 16 and 40 forward passes."""

SMALL_CROPS = "objects256x7at{}"
"""The low effort where a tower takes crops of 7/8 of its input's side, which cost 3/4."""

WITHOUT_FINDER = {"low": "closer8", "normal": "closer16", "high": "closer40"}
"""Efforts with any other model: the same forward passes, from coarse to fine."""


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
        return SMALL_CROPS.format(capabilities.dense.preprocessing.side * 7 // 8)
    return WITH_FINDER[name]
