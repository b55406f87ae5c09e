"""The protocol of Flickr30K-CFQ: Recall@K with several relevant images, by kind and in folds."""

from collections.abc import Sequence

import numpy as np

from finesight.research.datasets.records import TypedQueries
from finesight.research.metrics import capped_recall


def relevant_matrix(typed: TypedQueries) -> np.ndarray:
    """Return which images (n,) are relevant to which queries (q,), as (q, n) bool."""
    place = {image: column for column, image in enumerate(typed.images)}
    relevant = np.zeros((len(typed.queries), len(typed.images)), bool)
    for row, query in enumerate(typed.queries):
        relevant[row, [place[image] for image in query.relevant if image in place]] = True
    return relevant


def recalls(scores: np.ndarray, relevant: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Return Recall@K (q, len(ks)) of every query; an image of score -inf is never found.

    scores: (q, n), higher is better; relevant: (q, n) bool.
    """
    return np.stack([capped_recall(scores, relevant, k) for k in ks], axis=1)


def by_kind(values: np.ndarray, typed: TypedQueries, kinds: Sequence[str]) -> dict[str, float]:
    """Return the mean of one value per query (q,) over each kind."""
    of = np.array([query.kind for query in typed.queries])
    return {kind: float(np.nanmean(values[of == kind])) for kind in kinds if (of == kind).any()}


def over_folds(values: np.ndarray, typed: TypedQueries) -> tuple[float, float]:
    """Return mean and standard deviation over the folds of the mean of one value per query (q,).

    Published figures average all eleven lists: ten that part the queries, and one drawn by itself.
    """
    means = [float(np.nanmean(values[list(fold)])) for fold in typed.folds]
    return float(np.mean(means)), float(np.std(means))
