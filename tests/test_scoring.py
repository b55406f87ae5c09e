import numpy as np

from finesight.scoring import max_over_regions, mean_over_regions, normalise


def test_max_and_mean_equal_a_loop_over_images():
    rng = np.random.default_rng(0)
    query = normalise(rng.normal(size=8))
    parts = [normalise(rng.normal(size=(n, 8))) for n in (1, 5, 3)]
    counts = np.array([len(p) for p in parts])
    best, region = max_over_regions(query, np.concatenate(parts), counts)
    mean = mean_over_regions(query, np.concatenate(parts), counts)
    for i, part in enumerate(parts):
        np.testing.assert_allclose(best[i], (part @ query).max(), rtol=1e-5)
        assert region[i] == (part @ query).argmax()
        np.testing.assert_allclose(mean[i], (part @ query).mean(), rtol=1e-5)


def test_negative_cosines_are_not_beaten_by_anything_filled_in():
    query = np.array([1.0, 0.0], np.float32)
    regions = np.array([[-1, 0], [-0.6, 0.8], [-1, 0]], np.float32)
    best, region = max_over_regions(query, regions, np.array([2, 1]))
    np.testing.assert_allclose(best, [-0.6, -1])
    assert region.tolist() == [1, 0]


def test_of_equal_regions_the_first_wins():
    regions = np.array([[0, 1], [1, 0], [1, 0]], np.float32)
    _, region = max_over_regions(np.array([1, 0], np.float32), regions, np.array([3]))
    assert region.tolist() == [1]


def test_normalise_leaves_zero_vectors_alone():
    assert normalise(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [
        [np.float32(0.6), np.float32(0.8)],
        [0, 0],
    ]
