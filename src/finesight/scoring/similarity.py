"""How well an image answers a query: pure functions on arrays, higher is better."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
import simsimd

from finesight.types import Float32

ITEM_SHARPNESS = 30.0
"""Of the soft maximum over regions that says whether an image shows the very thing asked for.

Less finds more shop photos and fewer small things in scenes (docs/results/item_scores.txt)."""

_Item = TypeVar("_Item", bound=Hashable)


def normalise(vectors: np.ndarray) -> Float32:
    """Scale vectors (..., d) to length 1 in float32; a zero vector stays zero."""
    vectors = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(np.float32).tiny)


def cosines(queries: Float32, stored: np.ndarray) -> Float32:
    """Return the cosines (m, n) of queries (m, d) with stored vectors (n, d), as they are stored.

    stored: L2-normalised in float16 or float32, or in int8, scaled row by row as
    `to_int8` does. Float16 and int8 are compared as they are, without a copy in float32; the
    queries are rounded alike.
    """
    if not len(queries):
        return np.zeros((0, len(stored)), np.float32)
    if stored.dtype == np.float32 or len(stored) == 0:
        return queries @ stored.astype(np.float32, copy=False).T
    stored = np.ascontiguousarray(stored)
    if stored.dtype == np.int8:
        far = simsimd.cdist(to_int8(queries), stored, metric="cosine", out_dtype="float32")
        return np.float32(1) - np.asarray(far)
    near = simsimd.cdist(queries.astype(np.float16), stored, metric="dot", out_dtype="float32")
    return np.asarray(near)


def to_int8(vectors: np.ndarray) -> np.ndarray:
    """Round vectors (n, d) to int8, each scaled so that its largest entry is 127.

    The scale need not be kept: what is stored is of length 1 in truth.
    """
    vectors = np.asarray(vectors, np.float32)
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    return np.rint(vectors / np.where(largest > 0, largest, 1) * 127).astype(np.int8)


def reciprocal_ranks(rankings: Sequence[Sequence[_Item]], constant: int = 60) -> dict[_Item, float]:
    """Return the sum of 1 / (constant + rank) of each item over rankings in which it stands.

    Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009); ranks begin with 1.
    """
    sums: dict[_Item, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            sums[item] = sums.get(item, 0.0) + 1 / (constant + rank)
    return sums


def max_over_regions(scores: Float32, counts: np.ndarray) -> tuple[Float32, np.ndarray]:
    """Return each image's best score (n,) and the region that has it (n,).

    scores: (sum of counts,), of the regions of n images one after another; counts: (n,), each at
    least 1. Of equal regions the first wins.
    """
    starts = np.cumsum(counts) - counts
    best = np.maximum.reduceat(scores, starts)
    is_best = np.flatnonzero(scores == np.repeat(best, counts))
    owner = np.repeat(np.arange(len(counts)), counts)[is_best]
    first = np.unique(owner, return_index=True)[1]
    return best, is_best[first] - starts


def highest_over_regions(scores: Float32, counts: np.ndarray) -> Float32:
    """Return each image's best score over its regions (..., n), of scores (..., sum of counts)."""
    if len(counts) == scores.shape[-1]:  # one region each
        return scores
    best: Float32 = np.maximum.reduceat(scores, np.cumsum(counts) - counts, axis=-1)
    return best


def soft_max_over_regions(scores: Float32, counts: np.ndarray, sharpness: float) -> Float32:
    """Return each image's soft maximum (n,): log Σ exp(sharpness · score) / sharpness.

    At least the maximum, and log(count) / sharpness more at most: several good regions count for
    more than one that is good by chance. Arguments as `max_over_regions`.

    >>> found = soft_max_over_regions(np.array([1, 1, 0], np.float32), np.array([2, 1]), 10)
    >>> [round(score, 3) for score in found.tolist()]
    [1.069, 0.0]
    """
    starts = np.cumsum(counts) - counts
    best = np.maximum.reduceat(scores, starts)
    shares = np.exp(sharpness * (scores - np.repeat(best, counts)))
    return (best + np.log(np.add.reduceat(shares, starts)) / sharpness).astype(np.float32)


def mean_over_regions(scores: Float32, counts: np.ndarray) -> Float32:
    """Return each image's mean score over its regions (..., n), of scores (..., sum of counts)."""
    sums = np.add.reduceat(scores, np.cumsum(counts) - counts, axis=-1)
    return (sums / counts).astype(np.float32)
