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
    space = make_space(weights, features, SpaceSettings(directions=6, axes=8, rounds=20))
    one, other, pair = (space.of_group(group) for group in ((3,), (5,), (3, 5)))
    assert one.shape == ((14,) if photos else (8,))
    for vector in (one, other, pair):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert min(one @ pair, other @ pair) > one @ other
