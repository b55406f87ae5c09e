"""What a model offers to looking besides encoding crops."""

from dataclasses import dataclass

from finesight.encoders.dense import DenseTower
from finesight.encoders.objects import ObjectFinder


@dataclass(frozen=True)
class Sight:
    """dense: reads many windows out of one map; objects: says where something is; None if not."""

    dense: DenseTower | None = None
    objects: ObjectFinder | None = None


PLAIN = Sight()
"""Of a model that encodes crops and nothing else."""
