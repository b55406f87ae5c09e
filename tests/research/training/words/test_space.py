"""A frame's directions are nearly orthogonal; a word's vector has length 1."""

import numpy as np
import pytest

from finesight.research.training.words.space import SpaceSettings, make_frame, make_space


def test_few_classes_have_an_axis_each():
    np.testing.assert_array_equal(make_frame(3, 8, 10), np.eye(3))


def test_many_classes_are_nearly_orthogonal():
    frame = make_frame(60, 24, 60)
    products = np.abs(frame @ frame.T - np.eye(60))
    welch = np.sqrt((60 - 24) / (24 * 59))
    assert welch <= products.max() < 2 * welch
    np.testing.assert_allclose(np.linalg.norm(frame, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(frame, make_frame(60, 24, 60))


@pytest.mark.parametrize("photos", [0, 40])
def test_words_have_length_one_and_meet_their_classes(photos):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(12, 16)).astype(np.float32)
    features = rng.normal(size=(photos, 16)).astype(np.float32) if photos else None
    settings = SpaceSettings(directions=6, axes=8, rounds=20)
    space = make_space(weights, [(3, 5)], features, settings)
    one, other, pair = (space.of_group(group) for group in ((3,), (5,), (3, 5)))
    assert one.shape == ((14,) if photos else (8,))
    for vector in (one, other, pair):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert min(one @ pair, other @ pair) > one @ other


def test_classes_of_a_large_group_lean_to_each_other():
    weights = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    settings = SpaceSettings(axes=40, shared=2, shared_part=0.2, rounds=20)
    groups = [tuple(range(20)), tuple(range(20, 45)), (50, 51)]
    frame = make_space(weights, groups, None, settings).frame
    products = frame @ frame.T
    inside = products[:20, :20][~np.eye(20, dtype=bool)].mean()
    np.testing.assert_allclose(np.diag(products), 1, atol=1e-5)  # of those in no group, too
    assert inside > 0.15 > products[:20, 20:45].mean() + 0.05
