"""How likely a hit shows what was asked for: relevance in 0..1, learned without labels.

A cosine alone does not say it: what is high for one query is low for another. A hit is judged by
its margin: how much better its region answers the query than any text of a background does that
says something else. The background's own texts, searched for in the collection, give margins of
things that are there and of things that are not; two normal distributions are fitted to them
(Dempster, Laird and Rubin, 1977), and the relevance of a margin is its posterior of the higher one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finesight.types import Float32

DOUBTFUL = 0.1
"""Where the most relevant hit has less, nothing in the collection seems to match."""

_ROUNDS = 300
_FEW = 20  # values, below which nothing is fitted
_APART = 1.5  # spreads of the lower distribution that the higher one's mean lies above, at least
_SILENT = "a an the of in on at with and or to is are there this that photo picture image some"


@dataclass(frozen=True)
class Curve:
    """The probability that a value comes from the higher of two normal distributions.

    share: of the higher one among all values; low, high: their means; their spreads are standard
    deviations.
    """

    share: float
    low: float
    low_spread: float
    high: float
    high_spread: float

    def log_odds(self, values: np.ndarray) -> np.ndarray:
        """Return ln(p / (1 - p)) of each value; it never falls where values rise."""
        values = np.asarray(values, np.float64)
        bend = (self.low_spread**-2 - self.high_spread**-2) / 2
        slope = self.high / self.high_spread**2 - self.low / self.low_spread**2
        # Of unequal spreads the wider one wins at both ends: beyond the turn, its value is kept.
        if bend > 0:
            values = np.maximum(values, -slope / (2 * bend))
        elif bend < 0:
            values = np.minimum(values, -slope / (2 * bend))
        constant = (self.low / self.low_spread) ** 2 - (self.high / self.high_spread) ** 2
        prior = np.log(self.share / (1 - self.share) * self.low_spread / self.high_spread)
        odds: np.ndarray = bend * values**2 + slope * values + constant / 2 + prior
        return odds

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the probabilities of values, each in 0..1."""
        p: np.ndarray = np.exp(-np.logaddexp(0, -self.log_odds(values)))
        return p


def fit_curve(values: np.ndarray) -> Curve | None:
    """Fit a curve to values by expectation maximisation; None where they are too few or equal.

    Where the values show no two groups, what lies far above all of them counts as the higher one.
    """
    values = np.asarray(values, np.float64)
    scale = float(values.std()) if len(values) else 0.0
    if len(values) < _FEW or scale < 1e-9:
        return None
    least = scale / 20  # or a distribution shrinks to one value
    share, low, high = 0.05, np.quantile(values, 0.5), np.quantile(values, 0.995)
    low_spread, high_spread = scale, scale / 2
    for _ in range(_ROUNDS):
        higher = _posterior(values, Curve(share, low, low_spread, high, high_spread))
        weight = np.clip(higher.sum(), 1e-6, len(values) - 1e-6)
        share = weight / len(values)
        high, low = (higher @ values) / weight, ((1 - higher) @ values) / (len(values) - weight)
        high_spread = max(np.sqrt(higher @ (values - high) ** 2 / weight), least)
        low_spread = np.sqrt((1 - higher) @ (values - low) ** 2 / (len(values) - weight))
        low_spread = max(low_spread, least)
    if high - low < _APART * low_spread:
        low, low_spread = float(values.mean()), scale
        return Curve(0.01, low, low_spread, low + 4 * low_spread, low_spread)
    return Curve(*map(float, (share, low, low_spread, high, high_spread)))


def _posterior(values: np.ndarray, curve: Curve) -> np.ndarray:
    def log_density(share: float, mean: float, spread: float) -> np.ndarray:
        out: np.ndarray = np.log(share / spread) - ((values - mean) / spread) ** 2 / 2
        return out

    low = log_density(1 - curve.share, curve.low, curve.low_spread)
    high = log_density(curve.share, curve.high, curve.high_spread)
    p: np.ndarray = np.exp(high - np.logaddexp(low, high))
    return p


@dataclass(frozen=True)
class Background:
    """Texts that say what else might be shown: their vectors (b, d), and the words of each."""

    vectors: Float32
    words: tuple[frozenset[str], ...]

    @staticmethod
    def of(texts: Sequence[str], vectors: Float32) -> "Background":
        """Return the background of texts and their vectors."""
        return Background(vectors, tuple(content_words(text) for text in texts))

    def rivals(self, text: str) -> np.ndarray:
        """Return which of its texts (b,) say something else than a text.

        One says the same, more or less, if all of its words are in the other: a red mug is a mug.
        """
        said = content_words(text)
        return np.array([not (words <= said or said <= words) for words in self.words], bool)

    def margins(self, text: str, cosines: np.ndarray, regions: Float32) -> np.ndarray:
        """Return by how much regions (n, d) answer a text better than any rival does, (n,).

        cosines: theirs with the text (n,). Without rivals the margins are the cosines.
        """
        rivals = self.vectors[self.rivals(text)]
        if not len(rivals):
            return np.asarray(cosines)
        margins: np.ndarray = cosines - (regions @ rivals.T).max(axis=1)
        return margins


def content_words(text: str) -> frozenset[str]:
    """Return the words that say what is shown, in lower case and without a plural's s."""
    words = re.findall(r"[^\W_]+", text.lower())
    bare = {word[:-1] if len(word) > 3 and re.search(r"[^s]s$", word) else word for word in words}
    return frozenset(bare.difference(_SILENT.split())) or frozenset(bare)
