"""Ranks images for a query and for descriptions of what it means, and merges the rankings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from finesight.scoring.rank_fusion import RANK_FUSIONS
from finesight.search.calibrate import relevances
from finesight.search.encode import QueryVectors
from finesight.search.ranking import Chosen, Scored, best_of, candidates
from finesight.search.retrieve import nearest_by_fused
from finesight.store.snapshot import Snapshot
from finesight.types import Float32

_TRUSTED = 10  # best hits whose relevance says how far the query itself is trusted
_PARTS = 1 / 16  # the power of the trust in parts
_UNKNOWN = 0.5  # the trust where a collection has not learned what is relevant


def rank_described(
    snapshot: Snapshot,
    query: QueryVectors,
    k: int,
    rank_by: str,
    where: str | None = None,
    *,
    descriptions: Float32,
    fusion: str,
    fused: Float32 | None = None,
) -> list[Scored]:
    """Return the k best images, best first, for a query and descriptions (t, d) of it together.

    The first arguments are those of `rank`. fusion: one of RANK_FUSIONS; fused: the descriptions
    (t, d) in the space of the fused vectors, where they have their own. Images that come nearest
    to any of the texts are scored for all of them; cosines and regions are those of the query
    itself, so hits keep its boxes.
    """
    in_fused = descriptions if fused is None else fused
    texts = [one_text(*each) for each in zip(descriptions, in_fused, strict=True)]
    allowed = _candidates(snapshot, [query, *texts], k, rank_by, where)
    count = snapshot.images
    rankings = [best_of(snapshot, each, count, rank_by, allowed) for each in (query, *texts)]
    own = {row.row_id: row for row in rankings[0]}
    ids = sorted(own)
    scores = np.stack([_scores(ranking, ids) for ranking in rankings])
    trust = _trust(snapshot, query, rankings[0][:_TRUSTED]) if fusion == "trusted" else 0.0
    if query.together is not None:
        scores, trust = with_parts(scores, trust)
    fused = RANK_FUSIONS[fusion](scores, k, trust)
    merged = [
        replace(own[id_], score=float(score))
        for id_, score in zip(ids, fused, strict=True)
        if np.isfinite(score)
    ]
    return sorted(merged, key=lambda row: (-row.score, row.path))[:k]


def with_parts(scores: Float32, trust: float) -> tuple[Float32, float]:
    """Return scores (m, n) in one unit, and the trust in a query whose parts were searched for.

    The first row are scores of parts, in 0..1, the others are cosines: they get its spread. A
    faint sign of all parts at once says more than descriptions can: chosen on val-textured.
    """
    spread = float(scores[0].std()) / max(float(scores[1:].std()), 1e-6)
    return np.concatenate([scores[:1], spread * scores[1:]]), trust**_PARTS


def one_text(vector: Float32, fused: Float32 | None = None) -> QueryVectors:
    """Return the query of a text's vector (d,); fused: the same in the fused vectors' space."""
    among = None if fused is None else fused[None]
    return QueryVectors(vector[None], np.ones(1, np.float32), ("",), (False,), fused=among)


def _candidates(
    snapshot: Snapshot,
    queries: Sequence[QueryVectors],
    k: int,
    rank_by: str,
    where: str | None,
) -> Chosen:
    if rank_by not in ("regions", "fused"):
        return where
    near = [nearest_by_fused(snapshot, query, candidates(k), where) for query in queries]
    if any(each is None for each in near):
        return where
    return np.unique(np.concatenate([each for each in near if each is not None]))


def _scores(ranking: Sequence[Scored], ids: Sequence[int]) -> Float32:
    scores = {row.row_id: row.score for row in ranking}
    return np.array([scores[id_] for id_ in ids], np.float32)


def _trust(snapshot: Snapshot, query: QueryVectors, best: Sequence[Scored]) -> float:
    """Return the relevance of the most relevant of some hits."""
    if snapshot.calibrator is None or not best:
        return _UNKNOWN
    found = snapshot.rows([row.row_id for row in best], ["regions"])["regions"]
    each = relevances(snapshot.calibrator, query, found.combine_chunks())
    wanted = [i for i, weight in enumerate(query.weights) if weight > 0]
    together = [float(np.prod([parts[i] or 0.0 for i in wanted])) for parts in each]
    return max(together)
