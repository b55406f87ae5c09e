"""A soft AND: how well an image shows all parts of a query at once, each in a region of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finesight.boxes import intersection_over_union
from finesight.scoring.calibration import Curve
from finesight.types import Float32

SAME_REGION = -3.0
"""What it costs, in log probability, if two parts are found in much the same region."""

OVERLAP = 0.5
"""The intersection over union from which on two regions are much the same."""

RELATION = 0.5
"""How much it counts whether parts stand as they should; 1 would be as much as a part."""

_SOFT = 0.05  # shares of the image's side: what lies so far on the right side is surely there
_NEAR = 0.15  # between boxes that are near each other
_UNWANTED = 4.0  # widths below the step for what is wanted lies that for what is not
_BEAM = 24  # choices of regions that are followed
_REGIONS = 12  # best ones of a part that are tried


@dataclass(frozen=True)
class Conjunction:
    """How the parts of one query belong together.

    relations: (i, how, j) between parts, as `finesight.queries.grammar.Asked` has them; centre,
    width: of the soft step from cosines that say no to those that say yes.
    """

    relations: tuple[tuple[int, str, int], ...]
    centre: float
    width: float

    @staticmethod
    def by(curve: Curve, relations: tuple[tuple[int, str, int], ...]) -> "Conjunction":
        """Return parts whose step lies at the upper end of what texts that are shown score.

        Below it, more is better for every part: an AND that still tells the good from the best.
        """
        return Conjunction(relations, curve.high + 2 * curve.high_spread, curve.high_spread)

    def log_odds(self, cosines: np.ndarray) -> np.ndarray:
        """Return ln(p / (1 - p)) that a part is shown where it has these cosines."""
        odds: np.ndarray = (cosines - self.centre) / self.width
        return odds


def conjunctive_scores(
    cosines: Float32, counts: np.ndarray, boxes: Float32, weights: Float32, asked: Conjunction
) -> tuple[Float32, np.ndarray]:
    """Return how well images (n,) show all parts, in 0..1, and the regions (m, n) of the parts.

    cosines: of the m parts with the regions of n images one after another, (m, sum of counts);
    boxes: of these (sum of counts, 4); weights: (m,), a part below 0 should not be there. The
    score is the geometric mean of the parts' probabilities, each in a region of its own, lowered
    where regions coincide or stand to each other as nobody asked. A beam search over the parts
    finds the regions.
    """
    padded, places = _padded(cosines, counts, boxes)
    log_p = -np.logaddexp(0, -asked.log_odds(padded))
    wanted = [int(part) for part in np.flatnonzero(weights > 0)]
    place = {part: i for i, part in enumerate(wanted)}
    among = [(place[i], how, place[j]) for i, how, j in asked.relations if {i, j} <= place.keys()]
    total, chosen = _beam(log_p[wanted], places, among)
    regions = np.zeros((len(cosines), len(counts)), int)
    regions[wanted] = chosen
    for part in np.flatnonzero(weights < 0):
        regions[part] = padded[part].argmax(axis=1)
        there = asked.log_odds(padded[part].max(axis=1)) + _UNWANTED
        total = total - np.logaddexp(0, there)
    return np.exp(total / len(weights)).astype(np.float32), regions


def _padded(cosines: Float32, counts: np.ndarray, boxes: Float32) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines (m, n, p), -inf where an image has no such region, and boxes (n, p, 4)."""
    most = int(counts.max())
    there = np.arange(most) < counts[:, None]
    padded = np.full((len(cosines), *there.shape), -np.inf, np.float32)
    padded[:, there] = cosines
    places = np.zeros((*there.shape, 4), np.float32)
    places[there] = boxes
    return padded, places


def _beam(
    log_p: np.ndarray, boxes: np.ndarray, relations: Sequence[tuple[int, str, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best sums (n,) and the regions (m, n) chosen for them."""
    images = np.arange(log_p.shape[1])[:, None]
    totals = np.zeros((len(images), 1))
    chosen = np.zeros((len(images), 1, 0), int)
    for part, each in enumerate(log_p):
        tried = np.argsort(-each, axis=1, kind="stable")[:, :_REGIONS]
        added = each[images, tried][:, None, :]
        here = boxes[images, tried][:, None]
        for before in range(part):
            there = boxes[images, chosen[:, :, before]][:, :, None]
            added = added + SAME_REGION * (intersection_over_union(there, here) > OVERLAP)
            for i, how, j in relations:
                if {i, j} == {before, part}:
                    pair = (there, here) if i == before else (here, there)
                    added = added + RELATION * _stands(how, *pair)
        sums = (totals[:, :, None] + added).reshape(len(images), -1)
        best = np.argsort(-sums, axis=1, kind="stable")[:, :_BEAM]
        totals = np.take_along_axis(sums, best, axis=1)
        state, region = best // tried.shape[1], best % tried.shape[1]
        chosen = np.concatenate(
            [chosen[images, state], np.take_along_axis(tried, region, axis=1)[:, :, None]], axis=2
        )
    return totals[:, 0], chosen[:, 0].T


def _stands(how: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the log probability that a box stands to another as is said.

    In front of something is lower in the image, behind it higher: what stands on the ground does.
    """
    ahead = ((other[..., :2] + other[..., 2:]) - (one[..., :2] + one[..., 2:])) / 2
    right, below = ahead[..., 0], ahead[..., 1]
    gap = np.maximum(one[..., :2] - other[..., 2:], other[..., :2] - one[..., 2:])
    near = _NEAR - np.clip(gap, 0, None).max(axis=-1)
    distance = {
        "left": right,
        "right": -right,
        "above": below,
        "behind": below,
        "below": -below,
        "front": -below,
        "near": near,
        "on": np.minimum(near, below + _SOFT),
    }[how]
    log_p: np.ndarray = -np.logaddexp(0, -distance / _SOFT)
    return log_p
