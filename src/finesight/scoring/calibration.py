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

from finesight.types import Float32, Hit

DOUBTFUL = 0.25
"""Where the most relevant hit has less, nothing in the collection seems to match."""

_ROUNDS = 300
_STARTS = ((0.05, 0.5, 0.995), (0.5, 0.1, 0.9), (0.9, 0.02, 0.6))
"""Where the fit begins: the share of the higher distribution, and quantiles for both means."""

_FEW = 20  # values, below which nothing is fitted
_APART = 1.5  # of the narrower one's spreads lie between two distributions, at least
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
    tried = [_climbed(values, scale, *start) for start in _STARTS]
    apart = [
        curve
        for curve in tried
        if curve.high - curve.low >= _APART * min(curve.low_spread, curve.high_spread)
    ]
    if not apart:
        low = float(values.mean())
        return Curve(0.01, low, scale, low + 4 * scale, scale)
    return max(apart, key=lambda curve: np.logaddexp(*_densities(values, curve)).sum())


def _climbed(values: np.ndarray, scale: float, share: float, low: float, high: float) -> Curve:
    """Return the likeliest curve near a start: a share, and quantiles for the means."""
    least = scale / 20  # or a distribution shrinks to one value
    low, high = np.quantile(values, [low, high])
    low_spread, high_spread = scale, scale / 2
    for _ in range(_ROUNDS):
        below, above = _densities(values, Curve(share, low, low_spread, high, high_spread))
        higher = np.exp(above - np.logaddexp(below, above))
        weight = np.clip(higher.sum(), 1e-6, len(values) - 1e-6)
        share = weight / len(values)
        high, low = (higher @ values) / weight, ((1 - higher) @ values) / (len(values) - weight)
        high_spread = max(np.sqrt(higher @ (values - high) ** 2 / weight), least)
        low_spread = np.sqrt((1 - higher) @ (values - low) ** 2 / (len(values) - weight))
        low_spread = max(low_spread, least)
    if high < low:
        share, low, high = 1 - share, high, low
        low_spread, high_spread = high_spread, low_spread
    return Curve(*map(float, (share, low, low_spread, high, high_spread)))


def _densities(values: np.ndarray, curve: Curve) -> np.ndarray:
    """Return the logarithms (2, n) of the lower and the higher distribution's part in values."""
    shares, means, spreads = np.array(
        [
            [1 - curve.share, curve.share],
            [curve.low, curve.high],
            [curve.low_spread, curve.high_spread],
        ]
    )[..., None]
    parts: np.ndarray = np.log(shares / spreads) - ((values - means) / spreads) ** 2 / 2
    return parts


@dataclass(frozen=True)
class Background:
    """Texts that say what else might be shown: their vectors (b, d), and the words of each.

    holds: which texts (b,) hold a word, by word; sizes: the numbers of their words (b,).
    """

    vectors: Float32
    holds: dict[str, np.ndarray]
    sizes: np.ndarray

    @staticmethod
    def of(texts: Sequence[str], vectors: Float32) -> "Background":
        """Return the background of texts and their vectors."""
        words = [content_words(text) for text in texts]
        holds = {
            word: np.array([word in each for each in words]) for word in frozenset().union(*words)
        }
        return Background(vectors, holds, np.array([len(each) for each in words]))

    def rivals(self, text: str) -> np.ndarray:
        """Return which of its texts (b,) say something else than a text.

        One says the same, more or less, if all of its words are in the other: a red mug is a mug.
        """
        said = content_words(text)
        shared = self._shared(said)
        rivals: np.ndarray = (shared < self.sizes) & (shared < len(said))
        return rivals

    def is_bare(self, text: str) -> bool:
        """Whether a text names a thing and says nothing more of it: one word, or a text that others
        of the background say more than.
        """
        said = content_words(text)
        more = (self._shared(said) == len(said)) & (self.sizes > len(said))
        return len(said) == 1 or bool(more.any())

    def margins(self, text: str, cosines: np.ndarray, regions: Float32) -> np.ndarray:
        """Return by how much regions (n, d) answer a text better than any rival does, (n,).

        cosines: theirs with the text (n,). Without rivals the margins are the cosines.
        """
        rivals = self.rivals(text)
        if not rivals.any():
            return np.asarray(cosines)
        found = np.where(rivals, regions @ self.vectors.T, -np.inf)
        margins: np.ndarray = cosines - found.max(axis=1)
        return margins

    def _shared(self, said: frozenset[str]) -> np.ndarray:
        """Return how many of some words each text has (b,)."""
        none = np.zeros(len(self.sizes), int)
        return sum((self.holds[word] for word in said & self.holds.keys()), none)


def seems_nothing(hits: Sequence[Hit], least: float = 0.0) -> bool:
    """Whether nothing matches, or seems to: no hit is left, or none is likely to be right.

    hits: the best ones; least: the relevance below which hits were left out.
    """
    known = [hit.relevance for hit in hits if hit.relevance is not None]
    return (not hits and least > 0) or (bool(known) and max(known) < DOUBTFUL)


def content_words(text: str) -> frozenset[str]:
    """Return the words that say what is shown, in lower case and without a plural's s."""
    words = re.findall(r"[^\W_]+", text.lower())
    bare = {word[:-1] if len(word) > 3 and re.search(r"[^s]s$", word) else word for word in words}
    return frozenset(bare.difference(_SILENT.split())) or frozenset(bare)
