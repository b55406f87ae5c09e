import numpy as np
import pytest

from finesight.research.metrics import expected_calibration_error
from finesight.scoring.calibration import Background, Curve, content_words, fit_curve
from finesight.scoring.similarity import normalise


@pytest.fixture
def mixture():
    rng = np.random.default_rng(0)
    low, high = rng.normal(-0.1, 0.05, 9000), rng.normal(0.2, 0.08, 1000)
    return np.concatenate([low, high]), np.arange(10_000) >= 9000


def test_a_fitted_curve_states_how_often_it_is_right(mixture):
    values, is_high = mixture
    assert expected_calibration_error(fit_curve(values)(values), is_high) < 0.01


def test_a_curve_finds_the_distributions_that_it_was_fitted_to(mixture):
    curve = fit_curve(mixture[0])
    assert curve.share == pytest.approx(0.1, abs=0.02)
    assert (curve.low, curve.high) == pytest.approx((-0.1, 0.2), abs=0.02)


@pytest.mark.parametrize("spreads", [(1.0, 2.0), (2.0, 1.0), (1.0, 1.0)])
def test_a_curve_never_falls(spreads):
    curve = Curve(0.2, 0.0, spreads[0], 3.0, spreads[1])
    values = np.linspace(-20, 20, 400)
    assert (np.diff(curve(values)) >= -1e-12).all()
    assert (curve(values) >= 0).all() and (curve(values) <= 1).all()


def test_a_posterior_by_hand():
    # Equal spreads and shares: even odds half way, e^2 to 1 one unit further on.
    curve = Curve(0.5, 0.0, 1.0, 2.0, 1.0)
    assert curve(np.array([1.0, 2.0])) == pytest.approx([0.5, 1 / (1 + np.exp(-2))])


def test_scaling_the_values_does_not_change_what_is_learned(mixture):
    values, _ = mixture
    one, other = fit_curve(values), fit_curve(values * 7)
    assert one(values) == pytest.approx(other(values * 7), abs=1e-3)


def test_one_group_of_values_has_hardly_anything_relevant():
    values = np.random.default_rng(0).normal(0, 1, 5000)
    assert (fit_curve(values)(values) > 0.5).mean() < 0.02


@pytest.mark.parametrize("values", [[], [1.0] * 5, [1.0] * 100])
def test_too_few_or_equal_values_fit_nothing(values):
    assert fit_curve(np.array(values)) is None


def test_words_that_say_nothing_and_plurals_are_left_out():
    assert content_words("A photo of the red Mugs") == {"red", "mug"}
    assert content_words("glass") == {"glass"}
    assert content_words("a photo") == {"a", "photo"}


def test_rivals_are_texts_that_say_something_else():
    texts = ["mug", "red mug", "blue mug", "chair"]
    background = Background.of(texts, np.eye(4, dtype=np.float32))
    assert background.rivals("a red mug").tolist() == [False, False, True, True]
    assert background.rivals("mugs").tolist() == [False, False, False, True]


def test_a_margin_is_the_lead_over_the_best_rival():
    vectors = normalise(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]))
    background = Background.of(["mug", "chair", "table"], vectors)
    regions = normalise(np.array([[0.9, 0.3, 0.1], [0.2, 0.9, 0.1]]))
    cosines = regions @ vectors[0]
    lead = background.margins("mug", cosines, regions)
    assert lead == pytest.approx(cosines - regions[:, 1], abs=1e-6)
    alone = Background.of(["mug"], vectors[:1])
    assert alone.margins("mug", cosines, regions) == pytest.approx(cosines)
