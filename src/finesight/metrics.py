"""Retrieval metrics: pure numpy, one definition each."""

import numpy as np


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
        if count == 0:
            continue
        order = np.argsort(-np.where(ranked, score, -np.inf), kind="stable")
        top = order[: min(k * count, int(ranked.sum()))]
        recalls.append(wanted[top].sum() / count)
    return float(np.mean(recalls)) if recalls else float("nan")


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
