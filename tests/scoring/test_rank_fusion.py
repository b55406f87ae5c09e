import numpy as np
import pytest

from finesight.scoring.rank_fusion import RANK_FUSIONS, mean_similarity, trusted, two_stage, votes

SCORES = np.array([[0.9, 0.5, 0.1, 0.0], [0.1, 0.8, 0.7, 0.0], [0.2, 0.6, 0.9, 0.0]], np.float32)


def test_votes_count_the_texts_that_rank_an_image_high():
    assert np.floor(votes(SCORES, 2)).tolist() == [1, 3, 2, 0]


def test_equal_votes_go_by_the_mean_similarity():
    found = votes(SCORES, 1)
    assert np.floor(found).tolist() == [1, 1, 1, 0]
    assert np.argsort(-found).tolist() == np.argsort(-SCORES.mean(axis=0)).tolist()


def test_two_stages_leave_out_what_no_text_ranks_high():
    found = two_stage(SCORES, 1)
    assert np.isneginf(found).tolist() == [False, False, False, True]
    assert found[:3] == pytest.approx(votes(SCORES, 1)[:3])


def test_trust_moves_from_the_mean_to_the_query_itself():
    assert trusted(SCORES, 0.0) == pytest.approx(mean_similarity(SCORES))
    assert trusted(SCORES, 1.0) == pytest.approx(SCORES[0])
    assert trusted(SCORES, 0.5) == pytest.approx(0.25 * SCORES[0] + 0.75 * SCORES.mean(axis=0))


@pytest.mark.parametrize("name", RANK_FUSIONS)
def test_the_order_of_images_and_of_descriptions_does_not_matter(name):
    fuse = RANK_FUSIONS[name]
    found = fuse(SCORES, 2, 0.4)
    assert fuse(SCORES[:, ::-1].copy(), 2, 0.4)[::-1] == pytest.approx(found)
    assert fuse(SCORES[[0, 2, 1]], 2, 0.4) == pytest.approx(found)
