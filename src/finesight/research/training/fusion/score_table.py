"""Fills a score table for some words from the features of some images; nothing is trained."""

from __future__ import annotations

import torch

from finesight.errors import InputError
from finesight.research.networks.fusion import FusionSettings
from finesight.research.networks.score_table import ScoreTable
from finesight.research.training.features import FeatureCache
from finesight.research.training.fusion.losses import best_scores
from finesight.research.training.fusion.proxies import Proxies

_IMAGES = 2000  # that say what a word typically gets; more would not change it
_BATCH = 64


def fill_table(cache: FeatureCache, proxies: Proxies) -> ScoreTable:
    """Return a table for the proxies' words; raises InputError for none or for too many.

    A vector of width d can repeat the scores of d − 1 words at most.
    """
    count = proxies.words
    width = cache[0].embeddings.shape[1]
    if proxies.texts is None or not 0 < count < width:
        raise InputError(
            f"a table needs words to hold, fewer than the {width} numbers of a vector, and got "
            f"{count}: name a shorter --vocabulary, or use another --kind"
        )
    texts = proxies.texts[:count]
    network = ScoreTable(FusionSettings("table", width, directions=(count, 0)))
    some = list(range(0, len(cache), -(-len(cache) // _IMAGES)))
    parts = []
    for start in range(0, len(some), _BATCH):
        embeddings, _, there = cache.padded(some[start : start + _BATCH])
        parts.append(best_scores(texts, torch.from_numpy(embeddings), torch.from_numpy(there)))
    network.begin(texts, torch.cat(parts))
    return network.eval()
