import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesight.boxes import intersection_over_union
from finesight.errors import InputError
from finesight.research.evaluation import items
from finesight.research.evaluation.items import choose_detected, item_metrics, rank_items


def literal_metrics(scores, queries, gallery, ks, detected):
    """The definitions, word by word."""
    precisions, tops = [], {k: 0 for k in ks}
    for row, identity in enumerate(queries):
        if not detected[row]:
            precisions.append(0.0)
            continue
        order = sorted(range(len(gallery)), key=lambda i: (-scores[row][i], i))
        right = [gallery[i] == identity for i in order]
        found = [sum(right[: rank + 1]) / (rank + 1) for rank, is_it in enumerate(right) if is_it]
        precisions.append(sum(found) / sum(right))
        for k in ks:
            tops[k] += any(right[:k])
    count = len(queries)
    return {"mAP": sum(precisions) / count} | {f"top-{k}": tops[k] / count for k in ks}


@given(st.data())
def test_metrics_are_those_of_the_definitions(data):
    names = data.draw(st.integers(1, 5))
    gallery = list(range(names)) + data.draw(st.lists(st.integers(0, names - 1), max_size=12))
    queries = data.draw(st.lists(st.integers(0, names - 1), min_size=1, max_size=8))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    gallery = rng.permutation(gallery).tolist()
    scores = rng.integers(0, 5, (len(queries), len(gallery))).astype(np.float32)  # many equals
    detected = rng.random(len(queries)) < 0.8
    got = item_metrics(scores, queries, gallery, (1, 3, 5), detected)
    wanted = literal_metrics(scores.tolist(), queries, gallery, (1, 3, 5), detected)
    assert got == pytest.approx(wanted)


def test_a_hand_computed_example():
    """True items at ranks 2 and 4: (1/2 + 2/4) / 2."""
    scores = np.array([[0.9, 0.8, 0.7, 0.6]], np.float32)
    got = item_metrics(scores, [("a", 1)], [("b", 1), ("a", 1), ("a", 2), ("a", 1)])
    assert got == {"mAP": 0.5, "top-1": 0, "top-5": 1, "top-10": 1, "top-15": 1, "top-20": 1}


def test_equal_scores_rank_in_the_order_of_the_gallery():
    scores = np.zeros((1, 4), np.float32)
    assert rank_items(scores, ["c"], ["a", "b", "c", "c"]).first.tolist() == [3]


def test_the_order_of_the_gallery_does_not_matter_without_equals():
    rng = np.random.default_rng(0)
    gallery, queries = rng.integers(0, 4, 30), np.arange(4)
    scores = rng.random((4, 30)).astype(np.float32)
    order = rng.permutation(30)
    assert item_metrics(scores, queries.tolist(), gallery.tolist()) == item_metrics(
        scores[:, order], queries.tolist(), gallery[order].tolist()
    )


def test_what_was_not_detected_is_a_miss_and_scores_of_minus_infinity_are_last():
    scores = np.array([[0.9, 0.1], [-np.inf, 0.1]], np.float32)
    got = rank_items(scores, ["a", "a"], ["a", "b"], np.array([False, True]))
    assert got.first.tolist() == [0, 2]
    assert got.average_precision.tolist() == [0, 0.5]
    assert got.only(np.array([False, True])).metrics((1, 2)) == {
        "mAP": 0.5,
        "top-1": 0.0,
        "top-2": 1.0,
    }


@pytest.mark.parametrize(
    ("scores", "queries", "gallery", "detected", "reason"),
    [
        (np.ones((1, 2)), [(7, 1)], [(7, 2), (8, 1)], None, r"query 0 is of the identity \(7, 1\)"),
        (np.ones((2, 2)), ["a"], ["a", "b"], None, "need scores of shape"),
        (np.ones((0, 2)), [], ["a", "b"], None, "no query"),
        (np.array([[1, np.nan]]), ["a"], ["a", "b"], None, "not numbers"),
        (np.ones((1, 1)), ["a"], ["a"], np.ones(2, bool), "marks of what was detected"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, queries, gallery, detected, reason):
    with pytest.raises(InputError, match=reason):
        item_metrics(scores, queries, gallery, detected=detected)


BOXES = st.tuples(*[st.integers(0, 8)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]) + 1, max(b[1], b[3]) + 1)
)


def literal_iou(one, two):
    """Counts unit squares."""
    cells = [{(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])} for b in (one, two)]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


@given(st.lists(BOXES, min_size=1, max_size=5), st.lists(BOXES, min_size=1, max_size=5), st.data())
def test_the_detected_box_is_the_one_of_the_protocol(found, true, data):
    kinds = st.sampled_from("ab")
    names = [data.draw(kinds) for _ in found], [data.draw(kinds) for _ in true]
    trust = [data.draw(st.integers(0, 3)) for _ in found]
    overlap = [[literal_iou(one, two) for two in true] for one in found]
    between = intersection_over_union(np.array(found)[:, None], np.array(true))
    assert np.allclose(between, overlap)
    wanted = []
    for place in range(len(true)):
        best = -1
        for i, row in enumerate(overlap):
            meant = next(j for j in range(len(true)) if row[j] == max(row))
            right = meant == place and row[place] >= 0.5 and names[0][i] == names[1][place]
            if right and (best < 0 or trust[i] > trust[best]):
                best = i
        wanted.append(best)
    got = choose_detected(np.array(found), np.array(true), names, np.array(trust))
    assert got.tolist() == wanted


def test_nothing_found_detects_nothing():
    assert choose_detected(np.zeros((0, 4)), np.array([[0, 0, 1, 1]])).tolist() == [-1]


def test_its_examples_are_true():
    assert doctest.testmod(items, extraglobs={"np": np}).failed == 0
