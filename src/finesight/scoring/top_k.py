"""The best of many, in order: one definition for every ranking."""

from collections.abc import Callable, Sequence

import numpy as np

from finesight.types import Float32


def top_k(
    scores: Float32, k: int, ties: Callable[[np.ndarray], Sequence[str]] | None = None
) -> np.ndarray:
    """Return the places of the k highest scores (n,), highest first; all where n is at most k.

    ties: gives the names of some places, by which equal scores are ordered; without it they keep
    their order, so that the result never depends on how an algorithm happens to sort.

    >>> top_k(np.array([0.1, 0.3, 0.3], np.float32), 2).tolist()
    [1, 2]
    """
    few = np.arange(len(scores))
    if len(scores) > k:
        # All that equal the last one may come first by their names.
        few = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
    names = few if ties is None else np.asarray(ties(few))
    best: np.ndarray = few[np.lexsort((names, -scores[few]))[:k]]
    return best
