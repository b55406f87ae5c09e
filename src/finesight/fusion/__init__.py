"""Fusion: what was seen in one image becomes a few vectors; an image scores by its best one."""

from collections.abc import Callable

from finesight.fusion.network import NetworkFusion, TextHead
from finesight.fusion.training_free import ClosedForm, farthest_points, salient_clusters
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
