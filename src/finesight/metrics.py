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
