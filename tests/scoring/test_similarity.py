import math

import numpy as np
import pytest

from finesight.scoring.similarity import (
    cosines,
    max_over_regions,
    mean_over_regions,
    normalise,
    reciprocal_ranks,
    soft_max_over_regions,
    to_int8,
)


def test_max_and_mean_equal_a_loop_over_images():
    rng = np.random.default_rng(0)
    query = normalise(rng.normal(size=8))
    parts = [normalise(rng.normal(size=(n, 8))) for n in (1, 5, 3)]
    counts = np.array([len(p) for p in parts])
    scores = np.concatenate(parts) @ query
    best, region = max_over_regions(scores, counts)
    mean = mean_over_regions(scores, counts)
    for i, part in enumerate(parts):
        np.testing.assert_allclose(best[i], (part @ query).max(), rtol=1e-5)
        assert region[i] == (part @ query).argmax()
        np.testing.assert_allclose(mean[i], (part @ query).mean(), rtol=1e-5)


def test_negative_cosines_are_not_beaten_by_anything_filled_in():
    query = np.array([1.0, 0.0], np.float32)
    regions = np.array([[-1, 0], [-0.6, 0.8], [-1, 0]], np.float32)
    best, region = max_over_regions(regions @ query, np.array([2, 1]))
    np.testing.assert_allclose(best, [-0.6, -1])
    assert region.tolist() == [1, 0]


def test_of_equal_regions_the_first_wins():
    regions = np.array([[0, 1], [1, 0], [1, 0]], np.float32)
    _, region = max_over_regions(regions @ np.array([1, 0], np.float32), np.array([3]))
    assert region.tolist() == [1]


def test_normalise_leaves_zero_vectors_alone():
    assert normalise(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [
        [np.float32(0.6), np.float32(0.8)],
        [0, 0],
    ]


@pytest.mark.parametrize(("stored", "near"), [("float32", 1e-6), ("float16", 1e-3), ("int8", 0.02)])
def test_cosines_of_what_is_stored_equal_a_plain_product(stored, near):
    rng = np.random.default_rng(0)
    queries, vectors = (normalise(rng.normal(size=(n, 96))) for n in (3, 200))
    vectors[7] = queries[1]
    kept = to_int8(vectors) if stored == "int8" else vectors.astype(stored)
    found = cosines(queries, kept)
    assert (found.shape, found.dtype) == ((3, 200), np.float32)
    np.testing.assert_allclose(found, queries @ vectors.T, atol=near)
    assert found[1].argmax() == 7
    np.testing.assert_allclose(cosines(queries, kept[20:40]), found[:, 20:40], atol=1e-6)
    assert cosines(queries, kept[:0]).shape == (3, 0)


def test_int8_keeps_the_direction_of_vectors_of_any_length():
    vectors = np.array([[0.5, -1, 0.25], [0, 0, 0], [2, 4, -8]], np.float32)
    assert to_int8(vectors).tolist() == [[64, -127, 32], [0, 0, 0], [32, 64, -127]]


def test_reciprocal_ranks_by_hand():
    found = reciprocal_ranks([["a", "b"], ["b", "c"], []], constant=1)
    assert found == {"a": 1 / 2, "b": 1 / 3 + 1 / 2, "c": 1 / 3}


def test_soft_maximum_is_the_slow_one_and_between_its_bounds():
    rng = np.random.default_rng(4)
    counts = np.array([1, 5, 3, 8, 2])
    scores = rng.normal(size=counts.sum()).astype(np.float32)
    ends = np.cumsum(counts)
    highest = max_over_regions(scores, counts)[0]
    for sharpness in (1, 20, 5000):
        found = soft_max_over_regions(scores, counts, sharpness)
        slow = [
            math.log(sum(math.exp(sharpness * (s - top)) for s in scores[end - count : end]))
            / sharpness
            + top
            for end, count, top in zip(ends, counts, highest.tolist(), strict=True)
        ]
        assert np.allclose(found, slow, atol=1e-6)
        assert (found >= highest).all()
        assert (found <= highest + np.log(counts) / sharpness + 1e-6).all()
    assert np.allclose(found, highest, atol=1e-3)
