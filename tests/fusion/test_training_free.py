import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesight.errors import DataError
from finesight.fusion import (
    TRAINING_FREE,
    ClosedForm,
    NetworkFusion,
    farthest_points,
    salient_clusters,
)
from finesight.fusion.training_free import saliency
from finesight.scoring.similarity import normalise
from finesight.types import ImageVectors


def seen(embeddings):
    return ImageVectors(np.zeros((len(embeddings), 4), np.float32), normalise(embeddings))


def ground_with_things(things=3, p=40, d=16, seed=0):
    """Regions of one background, three regions a thing; the things are orthogonal."""
    rng = np.random.default_rng(seed)
    axes = np.eye(d)
    rows = np.tile(axes[0], (p, 1))
    for thing in range(things):
        rows[1 + 3 * thing : 4 + 3 * thing] = axes[1 + thing]
    return seen(rows + 0.02 * rng.normal(size=(p, d))), axes[1 : 1 + things]


@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 10**6))
def test_any_number_of_regions_gives_at_most_that_many_unit_vectors(p, k, seed):
    image = seen(np.random.default_rng(seed).normal(size=(p, 8)))
    for fuse in TRAINING_FREE.values():
        vectors = fuse(image, k)
        expected = 1 if fuse is salient_clusters and k == 1 else min(k, p)
        assert vectors.shape == (expected, 8)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert vectors.dtype == np.float32


def test_farthest_points_are_nested_and_cover_the_directions():
    image, things = ground_with_things()
    assert np.array_equal(farthest_points(image, 8)[:4], farthest_points(image, 4))
    assert np.array_equal(farthest_points(image, 1)[0], image.embeddings[0])
    assert (things @ farthest_points(image, 4).T).max(axis=1) == pytest.approx(1, abs=0.05)


def test_the_background_is_not_salient_and_clusters_are_the_things():
    image, things = ground_with_things()
    salient = saliency(image.embeddings)
    assert salient[1:10].min() > 0.9
    assert salient[10:].max() < 0.05
    clusters = salient_clusters(image, 3)
    assert (things @ clusters.T).max(axis=1).min() > 0.99
    one = salient_clusters(image, 1)[0]
    assert one @ things.T == pytest.approx(np.full(3, 3**-0.5), abs=0.05)


def test_an_image_of_nothing_but_background_still_has_vectors():
    image = seen(np.ones((5, 8)))
    assert salient_clusters(image, 4) == pytest.approx(image.embeddings[:4])


def test_clusters_do_not_depend_on_the_order_of_the_regions():
    image, _ = ground_with_things(seed=3)
    order = np.random.default_rng(0).permutation(len(image.embeddings))
    vectors, others = salient_clusters(image, 4), salient_clusters(seen(image.embeddings[order]), 4)
    assert (vectors @ others.T).max(axis=1).min() > 1 - 1e-4


def test_the_closed_form_is_where_the_loss_is_least():
    rng = np.random.default_rng(1)
    texts = normalise(rng.normal(size=(30, 8)))
    image = seen(rng.normal(size=(12, 8)))
    wanted = (texts @ image.embeddings.T).max(axis=1)
    pull = 0.1 * 30 / 8

    def loss(vector):
        return ((texts @ vector - wanted) ** 2).sum() + pull * (
            (vector - image.embeddings[0]) ** 2
        ).sum()

    direction = ClosedForm(texts, 0.1)(image, 1)[0]
    lengths = np.linspace(0.1, 3, 300)
    best = min(loss(length * direction) for length in lengths)
    for _ in range(50):
        other = normalise(direction + 0.1 * rng.normal(size=8))
        assert best <= min(loss(length * other) for length in lengths)
    assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-5)


def test_an_unreadable_network_is_named(tmp_path):
    (tmp_path / "fusion.onnx").write_bytes(b"no graph")
    with pytest.raises(DataError, match=r"fusion\.onnx is damaged .*: download, export or install"):
        NetworkFusion(tmp_path / "fusion.onnx")(seen(np.eye(4)), 2)
