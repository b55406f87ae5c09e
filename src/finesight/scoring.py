"""How well an image answers a query: pure functions on arrays, higher is better."""

import numpy as np

from finesight.types import Float32

RANKINGS = ("regions", "exact", "fused", "whole", "mean")
"""Ways to rank: by the best region, of the images whose fused vectors come nearest or of all
images; by the fused vectors alone; by the whole image alone; by the mean over all regions."""


def normalise(vectors: np.ndarray) -> Float32:
    """Scale vectors (..., d) to length 1 in float32; a zero vector stays zero."""
    vectors = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(np.float32).tiny)


def max_over_regions(
    query: Float32, regions: Float32, counts: np.ndarray
) -> tuple[Float32, np.ndarray]:
    """Return each image's best cosine (n,) and the region that has it (n,).

    query: (d,); regions: (sum of counts, d), the regions of n images one after another;
    counts: (n,), each at least 1. Of equal regions the first wins.
    """
    scores = regions @ query
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    best = np.maximum.reduceat(scores, starts)
    is_best = np.flatnonzero(scores == np.repeat(best, counts))
    owner = np.repeat(np.arange(len(counts)), counts)[is_best]
    first = np.unique(owner, return_index=True)[1]
    return best, is_best[first] - starts


def mean_over_regions(query: Float32, regions: Float32, counts: np.ndarray) -> Float32:
    """Return each image's mean cosine over its regions (n,); arguments as `max_over_regions`."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return (np.add.reduceat(regions @ query, starts) / counts).astype(np.float32)
