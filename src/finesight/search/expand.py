"""Query expansion: merges what a query finds with what descriptions of it and its words find."""

from dataclasses import replace

import numpy as np

from finesight.queries.request import SearchRequest
from finesight.scoring.rank_fusion import RANK_FUSIONS
from finesight.scoring.similarity import reciprocal_ranks
from finesight.search.calibrate import relevances
from finesight.search.encode import QueryVectors
from finesight.search.score import Ranking
from finesight.store.snapshot import Snapshot
from finesight.types import Float32

_TRUSTED = 10  # best hits whose relevance says how far the query itself is trusted
_PARTS = 1 / 16  # the power of the trust in parts
_UNKNOWN = 0.5  # the trust where a collection has not learned what is relevant


def with_descriptions(
    snapshot: Snapshot, request: SearchRequest, query: QueryVectors, ranking: Ranking, k: int
) -> Ranking:
    """Return a ranking whose scores merge those of the query with those of its descriptions.

    Cosines and regions stay those of the query itself, so hits keep its boxes.
    """
    ranking = ranking.take(np.argsort(ranking.row_ids, kind="stable"))
    scores = np.concatenate([ranking.scores[None], ranking.descriptions])
    trust = 0.0
    if request.rank_fusion == "trusted":
        trust = _trust(snapshot, query, ranking.best(snapshot, _TRUSTED))
    if query.conjunction is not None:
        scores, trust = with_parts(scores, trust)
    merged = RANK_FUSIONS[request.rank_fusion](scores, k, trust)
    return replace(ranking, scores=merged).take(np.isfinite(merged))


def with_parts(scores: Float32, trust: float) -> tuple[Float32, float]:
    """Return scores (m, n) in one unit, and the trust in a query whose parts were searched for.

    The first row are scores of parts, in 0..1, the others are cosines: they get its spread. A
    faint sign of all parts at once says more than descriptions can: chosen on val-textured.
    """
    spread = float(scores[0].std()) / max(float(scores[1:].std()), 1e-6)
    return np.concatenate([scores[:1], spread * scores[1:]]), trust**_PARTS


def with_words(snapshot: Snapshot, ranking: Ranking, named: np.ndarray, count: int) -> Ranking:
    """Return the images that come first by what is in them or by their words, best first of all.

    named: the row ids of those whose captions or names say the words, best first; count: how many
    are taken by what is in them. The score is the sum of reciprocal ranks.
    """
    ranking = ranking.best(snapshot, len(ranking))
    ranking = ranking.take((np.arange(len(ranking)) < count) | np.isin(ranking.row_ids, named))
    by_content = ranking.row_ids.tolist()
    known = set(by_content)
    by_words = [row for row in named.tolist() if row in known]
    places = {row: place for place, row in enumerate(by_words)}
    scores = reciprocal_ranks([by_content, by_words])
    return replace(
        ranking,
        scores=np.array([scores[row] for row in by_content], np.float32),
        by_words=np.array([places.get(row, i + 1) < i for i, row in enumerate(by_content)], bool),
    )


def _trust(snapshot: Snapshot, query: QueryVectors, best: Ranking) -> float:
    """Return the relevance of the most relevant of some hits, wanted parts alone."""
    if snapshot.calibrator is None or not len(best):
        return _UNKNOWN
    parts = relevances(snapshot, query, best.row_ids)[query.wanted]
    return float(np.nan_to_num(parts).prod(axis=0).max())
