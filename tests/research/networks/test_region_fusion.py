import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from finesight.research.networks.region_fusion import (  # noqa: E402
    IMAGE_SIDES,
    CrossAttentionBlock,
    LinearProbe,
    RegionFusion,
    RegionFusionSettings,
    WithTextHead,
)

D, HEADS = 12, 3


def build(kind="region-fusion", **options):
    torch.manual_seed(0)
    settings = RegionFusionSettings(kind, D, feed_forward=16, heads=HEADS, **options)
    return IMAGE_SIDES[kind](settings).eval()


def regions(b=2, p=5, width=D, seed=1):
    found = torch.randn(b, p, width, generator=torch.Generator().manual_seed(seed))
    return F.normalize(found, dim=-1)


def layer_norm(norm, x):
    centred = x - x.mean()
    return centred / math.sqrt(float(x.var(unbiased=False)) + norm.eps) * norm.weight + norm.bias


def literal_block(block, whole, parts):
    """The poster's equations for one image, head by head and region by region."""
    q = layer_norm(block.query_norm, whole)
    ks = [layer_norm(block.region_norm, part) for part in parts]
    of_q, of_k, of_v = block.attention.in_proj_weight.chunk(3)
    bias_q, bias_k, bias_v = block.attention.in_proj_bias.chunk(3)
    side = D // HEADS
    mixed = []
    for head in range(HEADS):
        rows = slice(head * side, (head + 1) * side)
        asked = of_q[rows] @ q + bias_q[rows]
        logits = [float(asked @ (of_k[rows] @ k + bias_k[rows])) / math.sqrt(side) for k in ks]
        total = sum(math.exp(each) for each in logits)
        mixed.append(
            sum(
                math.exp(logit) / total * (of_v[rows] @ k + bias_v[rows])
                for logit, k in zip(logits, ks, strict=True)
            )
        )
    attended = block.attention.out_proj(torch.cat(mixed))
    y = whole + attended
    first, gelu, _, second = block.feed
    return y + second(gelu(first(y)))


@torch.inference_mode()
def test_the_block_is_the_posters_equations():
    torch.manual_seed(0)
    block = CrossAttentionBlock(D, HEADS, 16, 0.1).eval()
    for norm in (block.query_norm, block.region_norm):
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_()
    parts = regions(2, 5)
    there = torch.tensor([[True] * 5, [True, True, True, False, False]])
    found = block(parts[:, :1], parts, there)
    for i, here in enumerate(there):
        expected = literal_block(block, parts[i, 0], list(parts[i, here]))
        assert torch.allclose(found[i, 0], expected, atol=1e-5)


@pytest.mark.parametrize("blocks", [1, 3])
@torch.inference_mode()
def test_padding_and_the_order_of_regions_change_nothing(blocks):
    network = build(blocks=blocks)
    parts, there, boxes = regions(), torch.ones(2, 5, dtype=torch.bool), torch.zeros(2, 5, 4)
    found = network(parts, there, boxes)
    assert found.shape == (2, 1, D)
    assert torch.allclose(found.norm(dim=-1), torch.ones(2, 1), atol=1e-5)
    wide = torch.cat([parts, torch.randn(2, 3, D)], dim=1)
    padded = network(wide, F.pad(there, (0, 3)), F.pad(boxes, (0, 0, 0, 3)))
    assert torch.allclose(found, padded, atol=1e-5)
    order = torch.tensor([0, 4, 2, 1, 3])  # the whole image stays the first
    assert torch.allclose(found, network(parts[:, order], there, boxes), atol=1e-5)


@torch.inference_mode()
def test_regions_may_come_from_another_space():
    network = build(region_width=7)
    assert isinstance(network, RegionFusion)
    whole = regions(2, 1)
    found = network(regions(2, 4, 7), torch.ones(2, 4).bool(), torch.zeros(2, 4, 4), whole)
    assert found.shape == (2, 1, D)
    other = network(regions(2, 4, 7, seed=5), torch.ones(2, 4).bool(), torch.zeros(2, 4, 4), whole)
    assert not torch.allclose(found, other, atol=1e-3)


@torch.inference_mode()
def test_the_probe_sees_the_whole_image_alone_and_begins_with_it():
    network, parts = build("linear-probe"), regions()
    assert isinstance(network, LinearProbe)
    found = network(parts, torch.ones(2, 5).bool(), torch.zeros(2, 5, 4))
    assert torch.allclose(found, parts[:, :1], atol=1e-6)
    both = WithTextHead(RegionFusionSettings("linear-probe", D)).eval()
    texts = regions(1, 3, seed=7)[0]
    scores = both(parts, torch.ones(2, 5).bool(), torch.zeros(2, 5, 4), texts)
    assert torch.allclose(scores, parts[:, 0] @ texts.T, atol=1e-6)
