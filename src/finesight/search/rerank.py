"""Reranks what a search found with a matcher, which reads a sentence and an image part by part."""

from dataclasses import replace

import numpy as np

from finesight.matching import NetworkMatcher
from finesight.search.score import Ranking
from finesight.store.schema import unpack
from finesight.store.snapshot import Snapshot
from finesight.types import Float32


def rerank(snapshot: Snapshot, ranking: Ranking, matcher: NetworkMatcher, sentence: str) -> Ranking:
    """Return the images of a ranking with what a matcher gives a sentence as their scores."""
    scores = [np.zeros(0, np.float32)]
    for batch, _ in snapshot.batches(["regions"], ranking.row_ids):
        rows, counts = unpack(batch["regions"])
        regions: list[Float32] = np.split(rows.astype(np.float32), np.cumsum(counts)[:-1])
        scores.append(matcher.scores(regions, [sentence])[:, 0])
    return replace(ranking, scores=np.concatenate(scores))
