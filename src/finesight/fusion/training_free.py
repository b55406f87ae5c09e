"""Fusions without training: salient clusters, farthest points, and the best vector for given texts.

Salient clusters are what stands out from an image's background. The background is the median of the
region embeddings, and a region is salient by its distance from it. One vector is the mean of the
regions weighted by their squared saliency; several are the centres of a spherical k-means (Dhillon
and Modha 2001) with those weights.
"""

import numpy as np

from finesight.scoring.similarity import normalise
from finesight.types import Float32, ImageVectors

_ROUNDS = 6
_TEMPERATURE = 0.05  # of soft assignments, in cosine

# Towards the whole-image embedding: .01 follows the noise of the proxies, .5 forgets the detail.
PULL = 0.1


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


def farthest_points(seen: ImageVectors, k: int) -> Float32:
    """Return k of the region embeddings: the whole image, then each time the farthest region.

    Farthest is the region whose best cosine to those chosen is lowest (Gonzalez 1985); of equals
    the first. The first k of a larger selection are the selection of k.
    """
    return seen.embeddings[select(seen.embeddings, k)]


def select(embeddings: Float32, k: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the indices (min(k, p),) of farthest points of (p, d), in the order of their choice.

    weights: (p,), scale each region's distance, and the first is then the weightiest region;
    without them it is region 0.
    """
    scale = np.ones(len(embeddings)) if weights is None else weights
    chosen = [0 if weights is None else int(np.argmax(weights))]
    nearest = embeddings @ embeddings[chosen[0]]
    free = np.ones(len(embeddings), bool)
    while len(chosen) < min(k, len(embeddings)):
        free[chosen[-1]] = False
        distance = np.where(free, (1 - nearest) * scale, -np.inf)
        chosen.append(int(np.argmax(distance)))
        nearest = np.maximum(nearest, embeddings @ embeddings[chosen[-1]])
    return np.array(chosen)


class ClosedForm:
    """Fusion to the one vector that best repeats the scores of some texts.

    With s = max_p T·P_p over the regions P of an image and v its whole-image embedding:
    F = argmin ‖T F − s‖² + λ ‖F − v‖², normalised (DetailCLIP's loss, METHODS.md 1, for free
    vectors).

    proxies: T (t, d), the texts' embeddings; pull: λ, times t / d so that it means the same for
    any number of texts.
    """

    def __init__(self, proxies: Float32, pull: float = PULL) -> None:
        texts = np.asarray(proxies, np.float64)
        count, width = texts.shape
        self._pull = pull * count / width
        self._inverse = np.linalg.inv(texts.T @ texts + self._pull * np.eye(width))
        self._texts = texts

    def __call__(self, seen: ImageVectors, k: int = 1) -> Float32:
        """Return one vector (1, d), whatever k is."""
        wanted = (seen.embeddings @ self._texts.T).max(axis=0)
        pulled = self._texts.T @ wanted + self._pull * seen.embeddings[0]
        return normalise(self._inverse @ pulled)[None]
