"""What decides which epoch of a fusion's training is kept: with labels, or without any."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from finesight.research.datasets import LabelledSet
from finesight.research.metrics import class_prompt_recall
from finesight.research.networks.fusion import FusionNetwork
from finesight.research.training.features import FeatureCache
from finesight.research.training.fusion.losses import best_scores, rank_preserving

_IMAGES = 128  # fused in one go


@torch.inference_mode()
def fused_scores(network: FusionNetwork, cache: FeatureCache, texts: Tensor) -> Tensor:
    """Return each image's best cosine over its fused vectors, for texts (t, d): (t, n)."""
    device = next(itertools.chain(network.parameters(), network.buffers())).device
    parts = []
    for start in range(0, len(cache), _IMAGES):
        arrays = cache.padded(range(start, min(start + _IMAGES, len(cache))))
        regions, boxes, there = (torch.from_numpy(part).to(device) for part in arrays)
        parts.append(best_scores(texts.to(device), network(regions, there, boxes)).cpu())
    return torch.cat(parts).T


def _mean(network: FusionNetwork, ks: Sequence[int], score: Callable[[], float]) -> float:
    """The mean of a score over some k, where the network serves any."""
    before, found = network.vectors, []
    for k in ks if network.any_number else [before]:
        network.vectors = k
        found.append(score())
    network.vectors = before
    return float(np.mean(found))


class RecallOfClasses:
    """Class-prompt Recall@1 over the classes that may be named, the mean over some k."""

    def __init__(
        self, cache: FeatureCache, dataset: LabelledSet, texts: Tensor, ks: Sequence[int]
    ) -> None:
        """texts: (c, d), the prompts of `dataset.classes`; ks: where the network serves any k."""
        named = [c not in dataset.never_named for c in dataset.classes]
        shown = [
            [any(thing.class_name == name for thing in image.objects) for image in dataset.images]
            for name, may in zip(dataset.classes, named, strict=True)
            if may
        ]
        self._relevant = np.array(shown)
        self._cache, self._texts, self._ks = cache, texts[torch.tensor(named)], ks

    def __call__(self, network: FusionNetwork) -> float:
        """Return the mean recall in 0..1."""

        def recall() -> float:
            scores = fused_scores(network, self._cache, self._texts).numpy()
            return class_prompt_recall(scores, self._relevant, np.ones_like(self._relevant), 1)

        return _mean(network, self._ks, recall)


class AnswersOfRegions:
    """How well the fused vectors rank unlabelled images as all their regions do.

    The negative divergence of `rank_preserving`, the mean over some k; 0 is a perfect copy.
    """

    def __init__(self, cache: FeatureCache, texts: Tensor, ks: Sequence[int]) -> None:
        regions = (torch.from_numpy(seen.embeddings) for seen in cache)
        self._target = torch.stack([best_scores(texts, each[None])[0] for each in regions])
        self._cache, self._texts, self._ks = cache, texts, ks

    def __call__(self, network: FusionNetwork) -> float:
        """Return minus the divergence, at most 0."""

        def fit() -> float:
            answer = fused_scores(network, self._cache, self._texts).T
            return -rank_preserving(self._target, answer).item()

        return _mean(network, self._ks, fit)
