"""Fusion: what was seen in one image becomes a few vectors; an image scores by its best one."""

from collections.abc import Callable

from finesight.fusion.closed_form import ClosedForm
from finesight.fusion.network import NetworkFusion
from finesight.fusion.salient import salient_clusters
from finesight.fusion.selection import farthest_points
from finesight.fusion.text_head import TextHead
from finesight.types import Float32, ImageVectors

__all__ = [
    "TRAINING_FREE",
    "ClosedForm",
    "Fusion",
    "NetworkFusion",
    "TextHead",
    "farthest_points",
    "salient_clusters",
]

Fusion = Callable[[ImageVectors, int], Float32]
"""(what was seen: p regions, k) -> (min(k, p), d), L2-normalised; region 0 is the whole image."""

TRAINING_FREE: dict[str, Fusion] = {"salient": salient_clusters, "fps": farthest_points}
"""Fusions that need neither training nor words, by name."""
