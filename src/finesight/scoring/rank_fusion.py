"""Merges what several texts find for one query: rank fusion over scores (m, n) of n images.

Row 0 is the query as typed, the rows behind it are descriptions of what it means. All return one
score an image (n,), higher is better. Votes, the mean similarity and two stages are those of
Flickr30K-CFQ's query enhancement; `trusted` is finesight's own.
"""

from collections.abc import Callable

import numpy as np

from finesight.types import Float32

_TIES = 1e-3  # of the mean similarity: tells images of as many votes apart


def votes(scores: Float32, k: int) -> Float32:
    """Return in how many texts' best k an image stands; equal ones go by the mean similarity."""
    tops = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    counted = np.bincount(tops.ravel(), minlength=scores.shape[1])
    return (counted + _TIES * scores.mean(axis=0)).astype(np.float32)


def mean_similarity(scores: Float32) -> Float32:
    """Return the mean over the texts."""
    mean: Float32 = scores.mean(axis=0)
    return mean


def two_stage(scores: Float32, k: int) -> Float32:
    """Return the votes of images that are among the best 2k of any text; -inf for all others."""
    tops = np.argsort(-scores, axis=1, kind="stable")[:, : 2 * k]
    chosen = np.zeros(scores.shape[1], bool)
    chosen[tops.ravel()] = True
    return np.where(chosen, votes(scores, k), -np.inf).astype(np.float32)


def trusted(scores: Float32, trust: float) -> Float32:
    """Return the query's own scores as far as they are trusted, the mean over all texts else.

    trust: the relevance of the query's best hit, in 0..1. A query that the collection answers needs
    no other words, and wrong ones do it no harm; one that finds nothing has little to lose. The
    share of the query's own scores is the trust squared.
    """
    share = np.float32(trust * trust)
    mixed: Float32 = share * scores[0] + (1 - share) * mean_similarity(scores)
    return mixed


Fuse = Callable[[Float32, int, float], Float32]

RANK_FUSIONS: dict[str, Fuse] = {
    "trusted": lambda scores, k, trust: trusted(scores, trust),
    "mean": lambda scores, k, trust: mean_similarity(scores),
    "votes": lambda scores, k, trust: votes(scores, k),
    "two-stage": lambda scores, k, trust: two_stage(scores, k),
}
"""By name: of scores (m, n), the number of hits asked for and the trust in the query."""
