"""Each loss of item training against its equation, written out slowly."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from finesight.research.training.items.losses import (  # noqa: E402
    MASKED,
    ArcFace,
    box_loss,
    corners,
    giou,
    hard_negatives,
    itc,
    itm,
    mask_words,
    mlm,
)


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def log_softmax(row, place):
    return row[place] - math.log(sum(math.exp(x) for x in row))


def test_itc_is_its_equation():
    scores, groups = some(4, 4), [0, 1, 0, 2]
    total = 0.0
    for way in (scores.tolist(), scores.T.tolist()):
        for i in range(4):
            same = [groups[i] == groups[k] for k in range(4)]
            for j in range(4):
                total -= same[j] / sum(same) * log_softmax(way[i], j) / 4 / 2
    assert itc(scores, torch.tensor(groups)).item() == pytest.approx(total)


def test_itc_with_no_shared_pairs_is_info_nce():
    scores = some(5, 5)
    target = torch.arange(5)
    cross = torch.nn.functional.cross_entropy
    assert itc(scores, target).item() == pytest.approx(
        (cross(scores, target) + cross(scores.T, target)).item() / 2
    )


def test_itc_does_not_depend_on_the_order():
    scores, groups = some(6, 6), torch.tensor([0, 1, 1, 2, 0, 3])
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    moved = itc(scores[order][:, order], groups[order])
    assert moved.item() == pytest.approx(itc(scores, groups).item())


def test_hard_negatives_are_of_other_groups_and_as_likely_as_the_softmax_says():
    scores = torch.tensor([[9.0, 1.0, 2.0, 9.0]] * 4)
    groups = torch.tensor([0, 1, 2, 0])
    generator = torch.Generator().manual_seed(1)
    drawn = torch.stack([hard_negatives(scores, groups, generator) for _ in range(2000)])
    assert not (groups[drawn] == groups).any()
    share = (drawn[:, 0] == 2).double().mean().item()  # of 1 and 2, with scores 1 and 2
    assert share == pytest.approx(1 / (1 + math.exp(-1)), abs=0.04)


def test_without_another_group_there_is_no_negative():
    assert hard_negatives(some(3, 3), torch.zeros(3, dtype=torch.long)).tolist() == [-1, -1, -1]


def test_itm_is_its_equation():
    matching, others = some(3), some(5, seed=1)
    total = 0.0
    for logit in matching.tolist():
        total -= math.log(1 / (1 + math.exp(-logit)))
    for logit in others.tolist():
        total -= math.log(1 - 1 / (1 + math.exp(-logit)))
    assert itm(matching, others).item() == pytest.approx(total / 8)


def slow_giou(a, b):
    def area(box):
        return max(0, box[2] - box[0]) * max(0, box[3] - box[1])

    shared = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    union = area(a) + area(b) - shared
    around = area((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])))
    return shared / union - (around - union) / around


def test_giou_by_hand():
    one = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    assert giou(one, one).item() == pytest.approx(1)
    assert giou(one, torch.tensor([[2.0, 0.0, 4.0, 2.0]])).item() == pytest.approx(0, abs=1e-6)
    # 2 × 2 and 2 × 2, two apart: around 6 × 2, of which 4 are in neither.
    assert giou(one, torch.tensor([[4.0, 0.0, 6.0, 2.0]])).item() == pytest.approx(-1 / 3)


def test_box_loss_is_its_equation():
    rng = np.random.default_rng(0)
    found, wanted = rng.uniform(0.1, 0.9, (2, 6, 4))
    total = 0.0
    for f, w in zip(found, wanted, strict=True):
        boxes = [(x - a / 2, y - b / 2, x + a / 2, y + b / 2) for x, y, a, b in (f, w)]
        total += sum(abs(f - w)) + 1 - slow_giou(*boxes)
    ours = box_loss(torch.from_numpy(found), torch.from_numpy(wanted))
    assert ours.item() == pytest.approx(total / 6)


def test_corners_of_a_box():
    found = corners(torch.tensor([[0.5, 0.4, 0.2, 0.4]]))
    assert found[0].tolist() == pytest.approx([0.4, 0.2, 0.6, 0.6])


def test_some_words_are_hidden_one_at_least_and_never_what_is_no_word():
    ids = torch.arange(4, 24).repeat(400, 1)
    ids[:, 0], ids[:, -4:] = 2, 0
    fixed = ids < 4
    fixed[0] = True
    fixed[0, 3] = False  # a text of one word
    shown, hidden = mask_words(ids, fixed, 1, torch.Generator().manual_seed(0))
    assert not (hidden & fixed).any()
    assert hidden.any(dim=1).all()
    assert (shown[hidden] == 1).all() and (shown[~hidden] == ids[~hidden]).all()
    share = hidden[1:].sum().item() / (~fixed[1:]).sum().item()
    assert share == pytest.approx(MASKED, abs=0.03)


def test_mlm_is_its_equation():
    logits, ids = some(2, 3, 5), torch.tensor([[1, 4, 0], [2, 2, 3]])
    hidden = torch.tensor([[True, False, False], [True, False, True]])
    places = [(0, 0), (1, 0), (1, 2)]
    total = -sum(log_softmax(logits[t, w].tolist(), ids[t, w].item()) for t, w in places)
    assert mlm(logits, ids, hidden).item() == pytest.approx(total / 3)


def test_arcface_is_its_equation():
    loss = ArcFace(4, 3, margin=0.15, scale=30.0).double()
    items = torch.nn.functional.normalize(some(5, 4), dim=1)
    identities = torch.tensor([0, 2, 1, 1, 0])
    weights = torch.nn.functional.normalize(loss.weight.detach(), dim=1)
    total = 0.0
    for z, y in zip(items, identities.tolist(), strict=True):
        row = []
        for j in range(3):
            angle = math.acos(float(z @ weights[j]))
            if j == y and angle + 0.15 <= math.pi:
                row.append(30 * math.cos(angle + 0.15))
            elif j == y:
                row.append(30 * (math.cos(angle) - 0.15 * math.sin(0.15)))
            else:
                row.append(30 * math.cos(angle))
        total -= log_softmax(row, y)
    assert loss(items, identities).item() == pytest.approx(total / 5)


def test_arcface_costs_more_the_larger_the_angle_beyond_pi_too():
    loss = ArcFace(3, 2, margin=0.5, scale=3.0).double()
    loss.weight.data = torch.eye(2, 3, dtype=torch.float64)
    angles = torch.linspace(0.01, math.pi - 0.01, 60, dtype=torch.float64)
    # Turned away from the first identity within the plane that is at a right angle to the second.
    items = torch.stack([angles.cos(), 0 * angles, angles.sin()], dim=1)
    own = torch.zeros(1, dtype=torch.long)
    losses = torch.stack([loss(item[None], own) for item in items]).detach()
    assert (losses.diff() > 0).all()


def test_arcface_without_a_margin_is_a_normalised_softmax():
    loss = ArcFace(4, 3, margin=0.0, scale=7.0).double()
    items = torch.nn.functional.normalize(some(5, 4), dim=1)
    identities = torch.tensor([0, 2, 1, 1, 0])
    logits = 7 * items @ torch.nn.functional.normalize(loss.weight, dim=1).T
    plain = torch.nn.functional.cross_entropy(logits, identities)
    assert loss(items, identities).item() == pytest.approx(plain.item())
