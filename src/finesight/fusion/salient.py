"""Salient clusters: what stands out from an image's background, in k vectors, without training.

The background is the median of the region embeddings, and a region is salient by its distance from
it. One vector is the mean of the regions weighted by their squared saliency; several are the
centres of a spherical k-means (Dhillon and Modha 2001) with those weights.
"""

import numpy as np

from finesight.fusion.selection import select
from finesight.scoring.similarity import normalise
from finesight.types import Float32, ImageVectors

_ROUNDS = 6
_TEMPERATURE = 0.05  # of soft assignments, in cosine


def salient_clusters(seen: ImageVectors, k: int) -> Float32:
    """Return min(k, p) cluster centres of the regions (p, d), weighted by squared saliency."""
    return cluster(seen.embeddings, saliency(seen.embeddings) ** 2, k)


def saliency(regions: Float32) -> Float32:
    """Return how far each region of (p, d) is from their median: (p,) in 0..2."""
    background = normalise(np.median(regions, axis=0))
    return np.maximum(0, 1 - regions @ background)


def cluster(
    regions: Float32,
    weights: Float32,
    k: int,
    rounds: int = _ROUNDS,
    temperature: float = _TEMPERATURE,
) -> Float32:
    """Return min(k, p) centres (k, d) of regions (p, d) with weights (p,), at least 0.

    The centres start at farthest points, distances scaled by the root of the weights, and move for
    some rounds to the weighted means of the regions that are softly their own.
    """
    if not weights.any():  # all regions alike: there is nothing but background
        weights = np.ones(len(regions), np.float32)
    if k == 1:
        return normalise(weights @ regions)[None]
    centres = regions[select(regions, k, np.sqrt(weights))]
    for _ in range(rounds):
        cosines = regions @ centres.T
        shares = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / temperature)
        shares *= (weights / shares.sum(axis=1))[:, None]
        centres = normalise(shares.T @ regions)
    return centres
