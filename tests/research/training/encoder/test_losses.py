"""The multi-positive contrastive loss: by hand, against a slow reference, and its invariances."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the losses need PyTorch")

from finesight.research.training.encoder.losses import multi_positive_info_nce  # noqa: E402


def slow(scores, content):
    """The definition, pair by pair."""

    def rows(scores, content):
        losses = []
        for row, labels in zip(scores.tolist(), content.tolist(), strict=True):
            against = sum(math.exp(s) for s, label in zip(row, labels, strict=True) if label == 0)
            matches = [s for s, label in zip(row, labels, strict=True) if label == 1]
            if matches:
                each = [-math.log(math.exp(s) / (math.exp(s) + against)) for s in matches]
                losses.append(sum(each) / len(each))
        return sum(losses) / max(1, len(losses))

    return (rows(scores, content) + rows(scores.T, content.T)) / 2


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(7, 5, generator=generator) * 3
    content = torch.randint(-1, 2, (7, 5), generator=generator)
    return scores, content


def test_by_hand():
    # Image 0 shows texts 0 and 1, image 1 shows text 1; exp of the scores: [[3, 1, 1], [2, 6, 2]].
    scores = torch.tensor([[3.0, 1, 1], [2, 6, 2]]).log()
    content = torch.tensor([[1, 1, 0], [0, 1, 0]])
    images = (-(math.log(3 / 4) + math.log(1 / 2)) / 2 - math.log(6 / 10)) / 2
    texts = (-math.log(3 / 5) - (math.log(1) + math.log(1)) / 2) / 2
    loss = multi_positive_info_nce(scores, content)
    assert loss.item() == pytest.approx((images + texts) / 2, abs=1e-6)


def test_equals_the_slow_reference(batch):
    scores, content = batch
    assert multi_positive_info_nce(scores, content).item() == pytest.approx(
        slow(scores, content), abs=1e-5
    )


def test_one_match_a_row_is_clips_loss():
    scores = torch.randn(6, 6)
    target = torch.arange(6)
    clip = torch.nn.functional.cross_entropy
    expected = (clip(scores, target) + clip(scores.T, target)) / 2
    torch.testing.assert_close(multi_positive_info_nce(scores, torch.eye(6).long()), expected)


def test_order_does_not_matter(batch):
    scores, content = batch
    rows, columns = torch.randperm(7), torch.randperm(5)
    torch.testing.assert_close(
        multi_positive_info_nce(scores[rows][:, columns], content[rows][:, columns]),
        multi_positive_info_nce(scores, content),
    )


def test_pulls_matches_pushes_the_rest_and_leaves_unclear_pairs_alone(batch):
    scores, content = batch
    scores.requires_grad_()
    multi_positive_info_nce(scores, content).backward()
    assert (scores.grad[content == 1] <= 0).all()
    assert (scores.grad[content == 0] >= 0).all()
    assert (scores.grad[content == -1] == 0).all()


@pytest.mark.parametrize("label", [-1, 0, 1])
def test_one_kind_of_pair_only_gives_zero_and_finite_gradients(label):
    scores = torch.randn(3, 4, requires_grad=True)
    loss = multi_positive_info_nce(scores, torch.full((3, 4), label))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(scores.grad).all()
