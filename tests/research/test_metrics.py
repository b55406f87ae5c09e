import numpy as np
import pytest

from finesight.errors import InputError
from finesight.research.metrics import (
    KS,
    caption_folds,
    caption_recalls,
    class_prompt_recall,
    map_at_r,
    r_precision,
)


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


def slow_caption_recalls(scores, owner):
    """Both directions' recalls at 1, 5 and 10 by sorting; scores without equals."""
    found = []
    for k in KS:
        hits = [any(owner[j] == i for j in np.argsort(-scores[i])[:k]) for i in range(len(scores))]
        found.append(100 * np.mean(hits))
    for k in KS:
        hits = [owner[j] in np.argsort(-scores[:, j])[:k] for j in range(scores.shape[1])]
        found.append(100 * np.mean(hits))
    return found


def as_list(recalls):
    return [*recalls.i2t, *recalls.t2i]


def test_caption_recalls_by_hand():
    # Image 0 is asked: captions rank 2, 0, 1; its own (0 and 1) come second.
    scores = np.array([[0.5, 0.1, 0.9], [0.7, 0.2, 0.8], [0.6, 0.0, 0.1]])
    found = caption_recalls(scores, np.array([0, 0, 1]))
    assert found.i2t == (50.0, 100.0, 100.0)  # image 2 has no caption: it is not asked for
    assert found.t2i == (0.0, 100.0, 100.0)
    assert found.rsum == 450


@pytest.mark.parametrize("seed", range(5))
def test_caption_recalls_equal_sorting_in_any_order_of_images_and_captions(seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(30, 90))
    owner = rng.permutation(np.repeat(np.arange(30), 3))
    found = caption_recalls(scores, owner)
    assert as_list(found) == pytest.approx(slow_caption_recalls(scores, owner))
    images, texts = rng.permutation(30), rng.permutation(90)
    moved = caption_recalls(scores[images][:, texts], np.argsort(images)[owner[texts]])
    assert as_list(moved) == pytest.approx(as_list(found))


@pytest.mark.parametrize("seed", range(5))
def test_equal_scores_count_as_the_mean_over_all_their_orders(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, size=(8, 24)).astype(float)
    owner = np.repeat(np.arange(8), 3)
    tries = [
        slow_caption_recalls(scores + 1e-3 * rng.random(scores.shape), owner) for _ in range(3000)
    ]
    error = np.std(tries, axis=0) / np.sqrt(len(tries))
    assert as_list(caption_recalls(scores, owner)) == pytest.approx(
        np.mean(tries, axis=0), abs=float(5 * error.max() + 1e-9)
    )


def test_a_model_with_one_score_for_everything_gets_what_chance_gets():
    found = caption_recalls(np.zeros((20, 100), np.float32), np.repeat(np.arange(20), 5))
    assert found.t2i == pytest.approx((5, 25, 50))
    assert found.i2t[0] == pytest.approx(5)


def test_recall_counts_negative_scores():
    scores = np.array([[-0.5, -2.0], [-0.9, -0.8]])
    assert as_list(caption_recalls(scores, np.array([0, 1]))) == [100] * 6


def test_scores_and_owners_that_do_not_fit_are_refused():
    scores = np.zeros((2, 3))
    for owner in ([0, 1], [0, 1, 2], [0, 1, -1]):
        with pytest.raises(InputError, match="need 3 owners below 2"):
            caption_recalls(scores, np.array(owner))
    with pytest.raises(InputError, match="not numbers"):
        caption_recalls(np.full((2, 3), np.nan), np.array([0, 0, 1]))


def test_folds_are_consecutive_slices_of_images():
    rng = np.random.default_rng(3)
    scores, owner = rng.normal(size=(40, 120)), rng.permutation(np.repeat(np.arange(40), 3))
    slices = []
    for start in (0, 20):
        inside = np.flatnonzero((owner >= start) & (owner < start + 20))
        slices.append(
            slow_caption_recalls(scores[start : start + 20, inside], owner[inside] - start)
        )
    assert as_list(caption_folds(scores, owner, 20)) == pytest.approx(np.mean(slices, axis=0))
    with pytest.raises(InputError, match="40 images do not make whole slices of 30"):
        caption_folds(scores, owner, 30)


def slow_map_at_r(score, wanted):
    order = np.argsort(-score)
    count = int(wanted.sum())
    precisions = [wanted[order[: i + 1]].mean() for i in range(count) if wanted[order[i]]]
    return sum(precisions) / count, wanted[order[:count]].mean()


def test_map_at_r_by_hand():
    # Ranks: yes, no, yes, yes; R = 3: (1/1 + 2/3) / 3.
    scores = np.array([[0.9, 0.8, 0.7, 0.6]])
    relevant = np.array([[True, False, True, True]])
    assert map_at_r(scores, relevant) == pytest.approx((1 + 2 / 3) / 3)
    assert r_precision(scores, relevant) == pytest.approx(2 / 3)
    assert np.isnan(map_at_r(scores, ~relevant & False))


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_map_at_r_is_the_mean_over_all_orders_of_equal_scores(levels):
    rng = np.random.default_rng(levels)
    score = rng.integers(0, levels, 12).astype(float)
    wanted = rng.random(12) < 0.4
    tries = [slow_map_at_r(score + 1e-4 * rng.random(12), wanted) for _ in range(4000)]
    means, error = np.mean(tries, axis=0), np.std(tries, axis=0).max() / np.sqrt(len(tries))
    found = map_at_r(score[None], wanted[None]), r_precision(score[None], wanted[None])
    assert found == pytest.approx(tuple(means), abs=float(5 * error + 1e-9))
