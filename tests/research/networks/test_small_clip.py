"""The small dual encoder: shapes, and that padding a text changes nothing."""

import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch")

from finesight.research.networks.small_clip import SmallClip, SmallClipSettings  # noqa: E402

SETTINGS = SmallClipSettings(
    vocabulary=20,
    width=8,
    stem=4,
    stages=(6, 8),
    blocks=(1, 2),
    strides=(2, 1),
    text_width=12,
    text_heads=3,
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SmallClip(SETTINGS).eval()


def test_towers_end_in_one_space(network):
    pixels = torch.randn(3, 3, 64, 64)
    tokens = torch.randint(20, (5, 7))
    mask = torch.ones_like(tokens)
    assert network.image(pixels).shape == (3, 8)
    assert network.text(tokens, mask).shape == (5, 8)
    assert network(pixels, tokens, mask).shape == (3, 5)


def test_scores_are_scaled_cosines(network):
    pixels, tokens = torch.randn(2, 3, 64, 64), torch.randint(20, (2, 4))
    mask = torch.ones_like(tokens)
    cosines = torch.cosine_similarity(
        network.image(pixels)[:, None], network.text(tokens, mask)[None], dim=-1
    )
    torch.testing.assert_close(network(pixels, tokens, mask), cosines / 0.07, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", [1, 5, 17])
def test_padding_a_text_changes_nothing(network, padding):
    tokens = torch.randint(20, (4, 6))
    mask = torch.ones_like(tokens)
    longer = torch.cat([tokens, torch.randint(20, (4, padding))], dim=1)
    wider = torch.cat([mask, torch.zeros(4, padding, dtype=mask.dtype)], dim=1)
    torch.testing.assert_close(network.text(tokens, mask), network.text(longer, wider))


def test_a_batch_gives_what_single_inputs_give(network):
    pixels = torch.randn(4, 3, 64, 64)
    single = torch.cat([network.image(row[None]) for row in pixels])
    torch.testing.assert_close(network.image(pixels), single, rtol=1e-4, atol=1e-5)


def test_word_order_matters(network):
    tokens = torch.tensor([[2, 7, 9, 3], [2, 9, 7, 3]])
    first, second = network.text(tokens, torch.ones_like(tokens))
    assert not torch.allclose(first, second, atol=1e-4)


def test_folding_the_normalisation_keeps_the_output(network):
    network.train()
    for _ in range(3):  # statistics that are not the initial zeros and ones
        network.image(2 * torch.randn(8, 3, 64, 64) + 1)
    network.eval()
    pixels = torch.randn(2, 3, 64, 64)
    before = network.image(pixels)
    network.image.fold()
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())
    torch.testing.assert_close(network.image(pixels), before, rtol=1e-4, atol=1e-4)
