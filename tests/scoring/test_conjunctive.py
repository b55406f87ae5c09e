import itertools

import numpy as np
import pytest

from finesight.scoring.conjunctive import RELATION, SAME_REGION, Conjunction, conjunctive_scores

BOXES = np.array([[0, 0, 1, 1], [0.1, 0.4, 0.2, 0.5], [0.7, 0.4, 0.8, 0.5]], np.float32)


def slow(cosines, boxes, asked):
    """Every choice of regions, one after the other."""

    def log_p(x):
        return -np.logaddexp(0, -x)

    best = -np.inf
    for chosen in itertools.product(range(len(boxes)), repeat=len(cosines)):
        total = sum(log_p(asked.log_odds(c[r])) for c, r in zip(cosines, chosen, strict=True))
        total += SAME_REGION * sum(a == b for a, b in itertools.combinations(chosen, 2))
        for i, _, j in asked.relations:  # all of them "left"
            centres = [boxes[chosen[k], [0, 2]].mean() for k in (i, j)]
            total += RELATION * log_p((centres[1] - centres[0]) / 0.05)
        best = max(best, total)
    return np.exp(best / len(cosines))


def disjoint(rng, count):
    """Boxes in a row that do not overlap."""
    low = np.stack([np.arange(count) / count, rng.uniform(0, 0.5, count)], axis=1)
    return np.concatenate([low, low + 0.9 / count], axis=1).astype(np.float32)


@pytest.mark.parametrize("relations", [(), ((0, "left", 1),), ((0, "left", 1), (1, "left", 2))])
def test_a_beam_finds_what_trying_every_choice_finds(relations):
    rng = np.random.default_rng(0)
    asked = Conjunction(relations, 0.5, 0.1)
    for _ in range(30):
        cosines = rng.uniform(0, 1, (3, 4)).astype(np.float32)
        boxes = disjoint(rng, 4)
        score, _ = conjunctive_scores(cosines, np.array([4]), boxes, np.ones(3, np.float32), asked)
        assert score[0] == pytest.approx(slow(cosines, boxes, asked), rel=1e-4)


def test_parts_take_different_regions():
    cosines = np.array([[0.2, 0.9, 0.5], [0.2, 0.9, 0.5]], np.float32)
    _, regions = conjunctive_scores(
        cosines, np.array([3]), BOXES, np.ones(2, np.float32), Conjunction((), 0.5, 0.1)
    )
    assert sorted(regions[:, 0].tolist()) == [1, 2]


@pytest.mark.parametrize(("how", "expected"), [("left", [1, 2]), ("right", [2, 1])])
def test_relations_choose_between_equals(how, expected):
    cosines = np.array([[0.2, 0.9, 0.9], [0.2, 0.9, 0.9]], np.float32)
    asked = Conjunction(((0, how, 1),), 0.5, 0.1)
    _, regions = conjunctive_scores(cosines, np.array([3]), BOXES, np.ones(2, np.float32), asked)
    assert regions[:, 0].tolist() == expected


def test_images_do_not_mind_their_neighbours():
    rng = np.random.default_rng(1)
    counts = np.array([3, 1, 5])
    cosines = rng.uniform(0, 1, (2, 9)).astype(np.float32)
    boxes = np.concatenate([disjoint(rng, count) for count in counts])
    weights, asked = np.ones(2, np.float32), Conjunction(((0, "left", 1),), 0.5, 0.1)
    score, regions = conjunctive_scores(cosines, counts, boxes, weights, asked)
    for image, start in enumerate(np.cumsum(counts) - counts):
        rows = slice(start, start + counts[image])
        alone = conjunctive_scores(
            cosines[:, rows], counts[image : image + 1], boxes[rows], weights, asked
        )
        assert score[image] == pytest.approx(alone[0][0])
        assert regions[:, image].tolist() == alone[1][:, 0].tolist()


def test_an_image_needs_all_parts_and_no_unwanted_one():
    def score(*cosines, weights):
        found = np.array([[0, c, 0] for c in cosines], np.float32)
        asked = Conjunction((), 0.5, 0.05)
        return conjunctive_scores(
            found, np.array([3]), BOXES, np.array(weights, np.float32), asked
        )[0][0]

    assert score(0.6, 0.6, weights=(1, 1)) > score(0.9, 0.3, weights=(1, 1))
    assert score(0.6, 0.1, weights=(1, -1)) > score(0.6, 0.8, weights=(1, -1))
