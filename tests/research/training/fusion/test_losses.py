import pytest

torch = pytest.importorskip("torch")

from finesight.research.training.fusion.losses import (  # noqa: E402
    TARGET_LOSSES,
    best_scores,
    diversity,
    global_meaning,
    mean_squared,
    rank_preserving,
)


def test_the_best_vector_answers_and_padding_never_does():
    texts = torch.eye(3)[:2]
    vectors = torch.tensor([[[-1.0, 0, 0], [0, -0.5, 0], [0, 0, 0]]])
    assert best_scores(texts, vectors).tolist() == [[0, 0]]
    there = torch.tensor([[True, True, False]])
    assert best_scores(texts, vectors[:, :2]).tolist() == [[0, 0]]
    assert best_scores(texts, vectors, there).tolist() == [[0, 0]]
    negative = torch.tensor([[[-1.0, -0.5, 0], [0, 0, 0]]])
    assert best_scores(texts, negative, there[:, 1:] & False | torch.tensor([[True, False]]))[
        0
    ].tolist() == [-1, -0.5]


@pytest.mark.parametrize("name", TARGET_LOSSES)
def test_a_perfect_answer_costs_nothing_and_a_wrong_one_something(name):
    target = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    loss = TARGET_LOSSES[name]
    assert loss(target, target).item() == pytest.approx(0, abs=1e-5)
    assert loss(target, target.flip(0)).item() > 0.01


def test_the_paper_loss_is_a_hundred_times_the_mean_square():
    assert mean_squared(torch.zeros(2, 2), torch.full((2, 2), 0.1)).item() == pytest.approx(1.0)


def test_ranks_are_kept_by_an_answer_of_another_level():
    target = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    assert rank_preserving(target, target + 0.3).item() == pytest.approx(0, abs=1e-5)


def test_vectors_alike_are_not_diverse_and_one_is_the_whole():
    same = torch.eye(4)[None, :1].repeat(2, 3, 1)
    assert diversity(same).item() == pytest.approx(1.0)
    assert diversity(torch.eye(4)[None]).item() == pytest.approx(0.0)
    assert diversity(torch.eye(4)[None, :1]).item() == 0.0
    assert global_meaning(torch.eye(4)[None], torch.eye(4)[:1]).item() == pytest.approx(0)
    assert global_meaning(torch.eye(4)[None, 1:], torch.eye(4)[:1]).item() == pytest.approx(1)
