"""EfficientNet-Lite: shapes, padding, folding, and the names of published weights."""

import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch")

from finesight.research.networks.efficientnet_lite import (  # noqa: E402
    SCALES,
    EfficientNetLite,
    SameConv,
    from_published,
)

PARTS = {"stem": "_conv_stem", "head": "_conv_head", "classify": "_fc"}
NORMS = {"stem": "_bn0", "head": "_bn1"}
OF_BLOCK = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def published(key):
    """The name of a weight in the package that publishes them."""
    part, *rest = key.split(".")
    if part == "blocks":
        number, name, which, weight = rest
        return f"_blocks.{number}.{OF_BLOCK[name][which == 'norm']}.{weight}"
    if part == "classify":
        return f"_fc.{rest[0]}"
    return f"{NORMS[part] if rest[0] == 'norm' else PARTS[part]}.{rest[1]}"


@pytest.mark.parametrize(("name", "blocks", "millions"), [("0", 16, 4.65), ("2", 21, 6.09)])
def test_sizes_are_the_published_ones(name, blocks, millions):
    network = EfficientNetLite(SCALES[f"efficientnet-lite{name}"])
    assert len(network.blocks) == blocks
    weights = sum(weight.numel() for weight in network.parameters())
    assert weights / 1e6 == pytest.approx(millions, abs=0.01)


def test_shapes_and_folding():
    torch.manual_seed(0)
    network = EfficientNetLite(SCALES["efficientnet-lite0"], classes=7).eval()
    pixels = torch.randn(2, 3, 70, 96)
    with torch.inference_mode():
        logits, features = network(pixels)
        assert logits.shape == (2, 7) and features.shape == (2, 1280, 3, 3)
        network.fold()
        torch.testing.assert_close(network(pixels)[0], logits, atol=1e-4, rtol=1e-4)


def test_published_weights_find_their_places():
    torch.manual_seed(1)
    network = EfficientNetLite(SCALES["efficientnet-lite1"], classes=3).eval()
    weights = {published(key): value for key, value in network.state_dict().items()}
    loaded = from_published("efficientnet-lite1", weights)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value)
    with pytest.raises(RuntimeError):
        from_published("efficientnet-lite0", weights)


def test_the_odd_pixel_of_padding_comes_behind():
    """TensorFlow's SAME: of 4 pixels, kernel 3 and stride 2 read 0-2 and 2-4, not -1-1."""
    layer = SameConv(1, 1, 3, stride=2).eval()
    torch.nn.init.ones_(layer.conv.weight)
    layer.norm = torch.nn.Identity()
    seen = layer(torch.arange(16.0).reshape(1, 1, 4, 4))[0, 0]
    image = torch.zeros(5, 5)
    image[:4, :4] = torch.arange(16.0).reshape(4, 4)
    expected = [[image[y : y + 3, x : x + 3].sum().item() for x in (0, 2)] for y in (0, 2)]
    assert seen.tolist() == expected
