import numpy as np
import pytest

from finesight.metrics import class_prompt_recall


def slow_recall(scores, relevant, gallery, k):
    values = []
    for t in range(len(scores)):
        wanted = [i for i in range(scores.shape[1]) if relevant[t, i] and gallery[t, i]]
        ranked = sorted(
            (i for i in range(scores.shape[1]) if gallery[t, i]), key=lambda i: (-scores[t, i], i)
        )
        if wanted:
            top = ranked[: k * len(wanted)]
            values.append(len(set(top) & set(wanted)) / len(wanted))
    return sum(values) / len(values)


def test_by_hand():
    scores = np.array([[0.9, 0.8, 0.7, 0.1], [-0.4, -0.1, -0.2, -0.3]])
    relevant = np.array([[True, False, True, False], [False, True, False, False]])
    gallery = np.ones_like(relevant)
    assert class_prompt_recall(scores, relevant, gallery, 1) == pytest.approx((0.5 + 1) / 2)
    assert class_prompt_recall(scores, relevant, gallery, 3) == 1


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equals_the_slow_reference(k):
    rng = np.random.default_rng(k)
    for _ in range(50):
        scores = rng.normal(size=(6, 40)).round(1)
        relevant = rng.random((6, 40)) < 0.2
        gallery = rng.random((6, 40)) < 0.8
        expected = slow_recall(scores, relevant, gallery, k)
        assert class_prompt_recall(scores, relevant, gallery, k) == pytest.approx(expected)


def test_an_image_outside_the_gallery_does_not_push_others_out():
    scores = np.array([[0.9, 0.8, 0.1]])
    relevant = np.array([[False, True, False]])
    assert class_prompt_recall(scores, relevant, np.array([[False, True, True]]), 1) == 1
    assert class_prompt_recall(scores, relevant, np.array([[True, True, True]]), 1) == 0


def test_without_any_query_the_value_is_nan():
    empty = np.zeros((2, 3), bool)
    assert np.isnan(class_prompt_recall(np.zeros((2, 3)), empty, ~empty, 1))
