"""How well the same thing is found in other photos: DeepFashion2's consumer-to-shop protocol.

A query is an item in a user's photo, the gallery is items in the shop's; relevant are those of the
same identity. DeepFashion2 defines top-k (Ge et al., CVPR 2019, 5.4); mAP is the usual one.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from finesight.boxes import intersection_over_union
from finesight.errors import InputError
from finesight.research.metrics import refuse_nan
from finesight.types import Float32

KS = (1, 5, 10, 15, 20)
"""The depths at which DeepFashion2 publishes its top-k retrieval accuracy."""

LEAST_IOU = 0.5
"""A found box stands for a true one from this overlap on."""


@dataclass(frozen=True)
class ItemRanks:
    """Where a gallery's true items stand for each query.

    average_precision: (q,) in 0..1; first: (q,) the rank, from 1, of the first true item. A query
    whose item was not detected has an average precision of 0 and the rank 0, which is none.
    """

    average_precision: np.ndarray
    first: np.ndarray

    def metrics(self, ks: Sequence[int] = KS) -> dict[str, float]:
        """Return "mAP" and "top-1" ... in 0..1, the means over the queries."""
        found = self.first > 0
        top = {f"top-{k}": float((found & (self.first <= k)).mean()) for k in ks}
        return {"mAP": float(self.average_precision.mean()), **top}

    @staticmethod
    def joined(parts: Sequence["ItemRanks"]) -> "ItemRanks":
        """Return the ranks of several lots of queries as one."""
        precision = np.concatenate([part.average_precision for part in parts])
        return ItemRanks(precision, np.concatenate([part.first for part in parts]))

    def only(self, chosen: np.ndarray) -> "ItemRanks":
        """Return those of some queries, chosen by a mask (q,) or by their numbers."""
        return ItemRanks(self.average_precision[chosen], self.first[chosen])


def item_metrics(
    scores: Float32,
    queries: Sequence[Hashable],
    gallery: Sequence[Hashable],
    ks: Sequence[int] = KS,
    detected: np.ndarray | None = None,
) -> dict[str, float]:
    """Return "mAP" and "top-1" ... in 0..1; arguments, ties and errors as in `rank_items`.

    The first query finds its two photos first and third, the second its one second:

    >>> scores = np.array([[.9, .5, .4], [.2, .8, .7]], np.float32)
    >>> found = item_metrics(scores, ["mug", "car"], ["mug", "mug", "car"], ks=(1, 2))
    >>> found
    {'mAP': 0.75, 'top-1': 0.5, 'top-2': 1.0}
    """
    return rank_items(scores, queries, gallery, detected).metrics(ks)


def rank_items(
    scores: Float32,
    queries: Sequence[Hashable],
    gallery: Sequence[Hashable],
    detected: np.ndarray | None = None,
) -> ItemRanks:
    """Return where the items of each query's identity stand in the gallery.

    scores: (q, g), higher is better, -inf for what is never found; queries, gallery: the
    identities (q,) and (g,); detected: (q,) bool, False for a query whose item was not found in
    its own photo, which then counts as a miss whatever its scores. Equal scores rank in the order
    of the gallery: give it in an order that knows nothing of the queries. Average precision is the
    mean, over the true items, of the precision at their ranks.
    Raises InputError for shapes that do not fit, for scores that are not numbers, without a query,
    and for a query whose identity has no gallery image.
    """
    return rank_photos(scores, queries, [(identity,) for identity in gallery], detected)


def rank_photos(
    scores: Float32,
    queries: Sequence[Hashable],
    gallery: Sequence[Collection[Hashable]],
    detected: np.ndarray | None = None,
) -> ItemRanks:
    """Return where the photos that show each query's identity stand, as `rank_items` does.

    gallery: of each photo, the identities that it shows; the others as in `rank_items`.
    """
    scores = np.asarray(scores)
    if scores.shape != (len(queries), len(gallery)):
        raise InputError(
            f"{len(queries)} queries and {len(gallery)} gallery items need scores of shape "
            f"({len(queries)}, {len(gallery)}), got {scores.shape}"
        )
    if len(queries) == 0:
        raise InputError("there is no query to measure with: give at least one")
    if detected is not None and np.shape(detected) != (len(queries),):
        raise InputError(
            f"{len(queries)} queries need as many marks of what was detected, got "
            f"{np.shape(detected)}"
        )
    refuse_nan(scores)
    owned: dict[Hashable, list[int]] = defaultdict(list)
    for place, identities in enumerate(gallery):
        for shown in set(identities):
            owned[shown].append(place)
    precision, first = np.zeros(len(queries)), np.zeros(len(queries), np.int64)
    for row, identity in enumerate(queries):
        if identity not in owned:
            raise InputError(
                f"query {row} is of the identity {identity!r}, which has no image in the gallery, "
                "so it cannot be found: leave it out, or add its image to the gallery"
            )
        if detected is None or detected[row]:
            score, own = scores[row], np.array(owned[identity])[:, None]
            theirs = score[own]
            before = (score > theirs) | ((score == theirs) & (np.arange(len(score)) < own))
            ranks = np.sort(1 + before.sum(axis=1))
            precision[row] = (np.arange(1, len(ranks) + 1) / ranks).mean()
            first[row] = ranks[0]
    return ItemRanks(precision, first)


def choose_detected(
    found: Float32,
    true: Float32,
    categories: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    confidence: np.ndarray | None = None,
    least: float = LEAST_IOU,
) -> np.ndarray:
    """Return which box found in a photo stands for each of its true boxes: (m,), -1 for none.

    As DeepFashion2's evaluation has it: a found box is for the true box that it overlaps most; of
    those for one box, which are of its category where `categories` (found, true) are given, the
    most confident is taken, or without confidences the one that overlaps most. Equals: the first.
    Their program asks no least overlap of a query, their text does: so does this.
    found: (n, 4), true: (m, 4), xyxy in one unit; confidence: (n,).

    >>> true = np.array([[0, 0, 4, 4], [6, 6, 9, 9]], np.float32)
    >>> choose_detected(np.array([[0, 0, 4, 3], [0, 0, 4, 4], [5, 0, 9, 4]], np.float32), true)
    array([ 1, -1])
    """
    chosen = np.full(len(true), -1, np.int64)
    if len(found) == 0 or len(true) == 0:
        return chosen
    one, other = np.asarray(found, np.float64)[:, None], np.asarray(true, np.float64)[None]
    # In single precision, so that an overlap of a half is one, whatever the boxes are divided by.
    overlap = intersection_over_union(one, other).astype(np.float32)
    meant = overlap.argmax(axis=1)
    for place, shared in enumerate(overlap.T):
        may = (meant == place) & (shared >= least)
        if categories is not None:
            named, wanted = categories
            may &= np.array([name == wanted[place] for name in named])
        if may.any():
            worth = shared if confidence is None else confidence
            chosen[place] = np.where(may, worth, -np.inf).argmax()
    return chosen
