"""Does a model read, or count words? It has to score a true caption above one that is nearly true.

After ARO (Yuksekgonul et al. 2023) and CounterCurate. Captions with swapped words hold the same
words as the true ones: who only counts words scores both alike, and gets half of them right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from finesight.research.datasets.scene_texts import HardNegatives

Scorer = Callable[[Sequence[int], Sequence[str]], np.ndarray]
"""Any model: the scores (n, t) of n images, by their places in the set, and t texts."""


@dataclass(frozen=True)
class KindResult:
    """How a model did on one kind of negatives.

    right: the share of pairs, in 0..1, whose true caption scores higher, where equal scores count
    half, which is what chance makes of them; tied: the share of pairs with equal scores.
    """

    kind: str
    right: float
    tied: float
    pairs: int

    @property
    def error(self) -> float:
        """The standard error of `right`."""
        return float(np.sqrt(self.right * (1 - self.right) / self.pairs))


def score_pairs(negatives: HardNegatives, scorer: Scorer) -> np.ndarray:
    """Return the scores (m, 2) of each pair's true and false caption for its image."""
    found = np.empty((len(negatives), 2))
    for image in np.unique(negatives.image):
        rows = np.flatnonzero(negatives.image == image)
        pairs = [(negatives.true[row], negatives.false[row]) for row in rows]
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        scores = dict(zip(texts, scorer([int(image)], texts)[0], strict=True))
        found[rows] = [[scores[text] for text in pair] for pair in pairs]
    return found


def hard_negative_accuracy(negatives: HardNegatives, scores: np.ndarray) -> list[KindResult]:
    """Return how often the true caption wins, by kind in their first order; scores: (m, 2).

    Scores that differ by rounding only (a millionth of their size) are equal: sums of the same
    words in another order must not decide by their last digit.
    """
    true, false = np.asarray(scores, np.float64).T
    tied = np.isclose(true, false, rtol=1e-6, atol=1e-7)
    right = np.where(tied, 0.5, true > false)
    kinds = np.array(negatives.kinds)
    results = []
    for kind in dict.fromkeys(negatives.kinds):
        rows = kinds == kind
        share, equal = float(right[rows].mean()), float(tied[rows].mean())
        results.append(KindResult(kind, share, equal, int(rows.sum())))
    return results
