"""What a model offers to those that propose regions of an image."""

from dataclasses import dataclass

from finesight.encoders.base import Encoder
from finesight.encoders.dense import DenseTower
from finesight.encoders.finder import Finder


@dataclass(frozen=True)
class Capabilities:
    """What a model offers to proposers; None for what it lacks.

    encoder: encodes crops, for what must see some before it chooses others; dense: reads many
    windows out of one canvas; objects: says where something is.
    """

    encoder: Encoder | None = None
    dense: DenseTower | None = None
    objects: Finder | None = None


NO_MODEL = Capabilities()
"""Of no model: windows that are known beforehand need none."""
