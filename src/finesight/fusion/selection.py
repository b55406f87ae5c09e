"""Farthest-point selection: the regions that together leave the least of the image unsaid."""

import numpy as np

from finesight.types import Float32, ImageVectors


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
