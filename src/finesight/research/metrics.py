"""Retrieval metrics: pure numpy, one definition each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from finesight.errors import InputError

KS = (1, 5, 10)
"""The depths at which recall of images and sentences is published."""

_COLUMNS = 512  # of a score matrix that are compared at a time


def class_prompt_recall(
    scores: np.ndarray, relevant: np.ndarray, gallery: np.ndarray, k: int
) -> float:
    """Return the class-prompt Recall@k of DetailCLIP (4.4), averaged over queries, in 0..1.

    For a query with N relevant images: Recall@k = |relevant and in the top k * N| / N, so that
    k = 1 is R-precision. scores: (t, n), higher is better; relevant, gallery: (t, n) bool, an
    image outside a query's gallery is not ranked. Queries without a relevant image are skipped;
    without any query the value is nan. Equal scores rank in the order of the images.

    Two images hold a cup and are ranked first and third of four, so one of two is in the top 2:

    >>> scores = np.array([[.9, .1, .5, .4]])
    >>> relevant = np.array([[True, False, False, True]])
    >>> class_prompt_recall(scores, relevant, np.ones((1, 4), bool), k=1)
    0.5
    """
    recalls = []
    for score, wanted, ranked in zip(scores, relevant & gallery, gallery, strict=True):
        count = int(wanted.sum())
        if count:
            order = np.argsort(-np.where(ranked, score, -np.inf), kind="stable")
            top = order[: min(k * count, int(ranked.sum()))]
            recalls.append(wanted[top].sum() / count)
    return _mean(recalls)


def _mean(values: Sequence[float]) -> float:
    """Return the mean over queries; nan without any."""
    return float(np.mean(values)) if values else float("nan")


@dataclass(frozen=True)
class CaptionRecalls:
    """Image-text recall in percent at 1, 5 and 10: image to text, and text to image.

    What this field calls Recall@K is IR's Success@K: the share of queries with a true answer among
    the first K.
    """

    i2t: tuple[float, float, float]
    t2i: tuple[float, float, float]

    @property
    def rsum(self) -> float:
        """The sum of the six recalls, at most 600."""
        return sum(self.i2t) + sum(self.t2i)


def caption_recalls(scores: np.ndarray, owner: np.ndarray) -> CaptionRecalls:
    """Return the recalls of Flickr30K and COCO: an image has several captions, a caption an image.

    scores: (n, t) of images and captions, higher is better; owner: (t,) each caption's image. Image
    to text: any of the image's captions in the top K; images without a caption are not asked for.
    Equal scores are in random order, and the value is the mean over all orders, computed exactly:
    a model that gives one score to everything gets what chance gets, in whatever order the data
    stand. Raises InputError for shapes that do not fit, and for scores that are not numbers.

    Two images with two captions each; the first image ranks a caption of the other one highest:

    >>> scores = np.array([[.5, .1, .9, .2], [.3, .2, .8, .7]])
    >>> found = caption_recalls(scores, np.array([0, 0, 1, 1]))
    >>> found.i2t, found.t2i
    ((50.0, 100.0, 100.0), (50.0, 100.0, 100.0))
    """
    images, texts = _checked(scores, owner)
    order = np.argsort(owner, kind="stable")
    own = np.split(order, np.searchsorted(owner[order], np.arange(1, images)))
    counts = [_counts(score, score[of]) for score, of in zip(scores, own, strict=True) if len(of)]
    i2t = _success(*np.array(counts).T)
    above, tied = (np.empty(texts, np.int64) for _ in range(2))
    for start in range(0, texts, _COLUMNS):
        part = slice(start, start + _COLUMNS)
        block = scores[:, part]
        best = block[owner[part], np.arange(block.shape[1])]
        above[part] = np.count_nonzero(block > best, axis=0)
        tied[part] = np.count_nonzero(block == best, axis=0)
    return CaptionRecalls(i2t, _success(above, tied, np.ones_like(tied)))


def _checked(scores: np.ndarray, owner: np.ndarray) -> tuple[int, int]:
    """Return n and t; raises InputError for scores and owners that do not fit."""
    images, texts = scores.shape
    if owner.shape != (texts,) or texts == 0 or owner.min() < 0 or owner.max() >= images:
        raise InputError(
            f"scores of {images} images and {texts} captions need {texts} owners below {images}, "
            f"got {owner.size}"
        )
    refuse_nan(scores)
    return images, texts


def refuse_nan(scores: np.ndarray) -> None:
    """Raise InputError for scores that are not numbers."""
    if np.isnan(scores.min(initial=0.0)):
        raise InputError("there are scores that are not numbers (nan): they cannot be ranked")


def _counts(score: np.ndarray, own: np.ndarray) -> tuple[int, int, int]:
    """Return how many scores are above a query's best own one, how many equal it, and own ones."""
    best = own.max()
    return np.sum(score > best), np.sum(score == best), np.sum(own == best)


def _success(above: np.ndarray, tied: np.ndarray, hits: np.ndarray) -> tuple[float, float, float]:
    """Return in percent how probably one of `hits` among `tied` equals is in the top 1, 5, 10.

    above: how many stand before them; each (q,). The hits miss the k - above places with the
    probability of drawing all of them from the rest: prod_i (tied - places - i) / (tied - i).
    """
    recalls = []
    for k in KS:
        places = np.clip(k - above, 0, tied)
        missed = np.ones(len(above))
        for i in range(int(hits.max())):
            still = i < hits
            share = np.maximum(tied - places - i, 0) / np.maximum(tied - i, 1)
            missed = np.where(still, missed * share, missed)
        recalls.append(float(100 * (1 - missed).mean()))
    return recalls[0], recalls[1], recalls[2]


def success_at_k(scores: np.ndarray, relevant: np.ndarray) -> tuple[float, float, float]:
    """Return the share of queries, in percent, with a relevant item in the top 1, 5 and 10.

    What ECCV Caption and CxC call Recall@K. scores: (q, n), higher is better; relevant: (q, n)
    bool. Queries without a relevant item are skipped; equal scores count as in `caption_recalls`.

    >>> success_at_k(np.array([[.9, .5, .4]]), np.array([[False, True, True]]))
    (0.0, 100.0, 100.0)
    """
    pairs = zip(scores, relevant, strict=True)
    counts = [_counts(score, score[wanted]) for score, wanted in pairs if wanted.any()]
    if not counts:
        return float("nan"), float("nan"), float("nan")
    return _success(*np.array(counts).T)


def caption_folds(scores: np.ndarray, owner: np.ndarray, images: int = 1000) -> CaptionRecalls:
    """Return the mean recalls over consecutive slices of `images` images (COCO's 5 x 1K).

    scores, owner: as in `caption_recalls`; the captions of a slice are those of its images. Raises
    InputError where the images do not fill whole slices.
    """
    count, _ = _checked(scores, owner)
    if count < images or count % images:
        raise InputError(f"{count} images do not make whole slices of {images}")
    folds = []
    for start in range(0, count, images):
        inside = np.flatnonzero((owner >= start) & (owner < start + images))
        part = scores[start : start + images][:, inside]
        folds.append(caption_recalls(part, owner[inside] - start))
    mean = np.mean([[*fold.i2t, *fold.t2i] for fold in folds], axis=0).tolist()
    return CaptionRecalls(tuple(mean[:3]), tuple(mean[3:]))


def map_at_r(scores: np.ndarray, relevant: np.ndarray) -> float:
    """Return mAP@R in 0..1, averaged over queries (Musgrave et al. 2020; ECCV Caption).

    For a query with R relevant items: the sum over the first R ranks of precision at that rank
    where the item there is relevant, over R. scores: (q, n), higher is better; relevant: (q, n)
    bool. Queries without a relevant item are skipped; without any the value is nan. Equal scores
    count as in `caption_recalls`: the mean over all their orders.

    Of two relevant items one is first, the other third, behind R = 2:

    >>> map_at_r(np.array([[.9, .5, .4]]), np.array([[True, False, True]]))
    0.5
    """
    return _mean(
        [
            float((chance * (before + 1) / np.arange(1, len(chance) + 1)).mean())
            for chance, before in _expected_hits(scores, relevant)
        ]
    )


def r_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """Return R-Precision in 0..1: the share of a query's R relevant items among its first R.

    Arguments, skipped queries and equal scores: as in `map_at_r`.

    >>> r_precision(np.array([[.9, .5, .4]]), np.array([[True, False, True]]))
    0.5
    """
    return _mean([float(chance.mean()) for chance, _ in _expected_hits(scores, relevant)])


def _expected_hits(
    scores: np.ndarray, relevant: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, for each query's ranks 1 to R, how probably a relevant item is there, and after what.

    The second is the expected number of relevant items before a relevant one at that rank. Within
    a run of m equal scores with o relevant ones, each rank has one with probability o / m, and the
    i ranks before it in the run then hold i (o - 1) / (m - 1) (McSherry and Najork, ECIR 2008).
    """
    for score, wanted in zip(scores, relevant, strict=True):
        depth = int(wanted.sum())
        if depth == 0:
            continue
        refuse_nan(score)
        least = np.partition(score, -depth)[-depth]
        near = score >= least  # ranks below it are not asked for, its equals are all needed
        levels, place = np.unique(-score[near], return_inverse=True)
        run = np.bincount(place, minlength=len(levels))
        hits = np.bincount(place, weights=wanted[near], minlength=len(levels))
        start, hits_before = np.cumsum(run) - run, np.cumsum(hits) - hits
        level = np.repeat(np.arange(len(levels)), run)[:depth]
        inside = np.arange(depth) - start[level]
        others = np.maximum(hits[level] - 1, 0) / np.maximum(run[level] - 1, 1)
        yield hits[level] / run[level], hits_before[level] + inside * others


def capped_recall(scores: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Return Recall@K of Flickr30K-CFQ of every query (t,): hits in the top K / min(|relevant|, K).

    scores: (t, n), higher is better, -inf for what is never found; relevant: (t, n) bool. Equal
    scores rank in the order of the images. A query without a relevant image has the value nan.

    Two of four images are relevant, one of them stands among the first two:

    >>> capped_recall(np.array([[.9, .1, .5, .4]]), np.array([[True, False, False, True]]), k=2)
    array([0.5])
    """
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(relevant & np.isfinite(scores), top, axis=1).sum(axis=1)
    most = np.minimum(relevant.sum(axis=1), k)
    recall: np.ndarray = np.where(most > 0, found / np.maximum(most, 1), np.nan)
    return recall


def expected_calibration_error(
    probabilities: np.ndarray, outcomes: np.ndarray, bins: int = 10
) -> float:
    """Return the mean gap between stated and observed frequency over bins of equal width, in 0..1.

    probabilities: (n,) in 0..1; outcomes: (n,) bool. A bin counts by its size (Naeini, Cooper and
    Hauskrecht, 2015).

    >>> expected_calibration_error(np.array([.1, .1, .9]), np.array([False, False, False]))
    0.36666666666666664
    """
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [
        abs(float((probabilities[place == each] - outcomes[place == each]).sum()))
        for each in range(bins)
    ]
    return sum(gaps) / len(probabilities)


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return how often a positive value (p,) is above a negative one (n,); half for equal ones.

    The area under the ROC curve.

    >>> auroc(np.array([.9, .4]), np.array([.4, .1]))
    0.875
    """
    above = (positive[:, None] > negative[None]).mean()
    equal = (positive[:, None] == negative[None]).mean()
    return float(above + equal / 2)
