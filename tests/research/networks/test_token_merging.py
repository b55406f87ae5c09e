"""Merged tokens stand for those that they are made of; without merging nothing changes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="these networks need PyTorch")
pytest.importorskip("transformers", reason="checkpoints need finesight[torch]")

from checkpoints import make_checkpoint, random_crops  # noqa: E402

from finesight.encoders.torch_hub import TransformersEncoder  # noqa: E402
from finesight.research.networks.token_merging import MergingTower, merge  # noqa: E402


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    make_checkpoint(folder)
    return TransformersEncoder(folder)


@torch.inference_mode()
def embed(encoder, crops, **how):
    found = MergingTower(encoder.model, **how)(
        torch.from_numpy(encoder.preprocessing.tensor(crops))
    ).numpy()
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_without_merging_it_is_the_tower(encoder):
    crops = random_crops(3)
    for how in ({}, {"layers": 2}):
        ours = embed(encoder, crops, merged=0, **how)
        np.testing.assert_allclose(ours, encoder.encode_images(crops), atol=1e-5)
    early = embed(encoder, crops, merged=0, layers=1)
    assert (early * encoder.encode_images(crops)).sum(axis=1).max() < 0.9999


@pytest.mark.parametrize("protect", [False, True])
def test_the_sum_and_the_number_of_what_is_merged_stay(protect):
    torch.manual_seed(0)
    tokens, keys = torch.randn(2, 17, 6), torch.randn(2, 17, 4)
    sizes = torch.ones(2, 17, 1)
    for fewer in (5, 4, 3):
        before = (tokens * sizes).sum(dim=1)
        tokens, sizes = merge(tokens, sizes, keys, fewer, protect)
        keys = torch.randn(2, tokens.shape[1], 4)
        torch.testing.assert_close((tokens * sizes).sum(dim=1), before)
        assert sizes.sum(dim=1).flatten().tolist() == [17, 17]
    assert tokens.shape[1] == 17 - 12
    assert sizes[:, 0].flatten().tolist() == [1, 1]  # the class token is alone


def test_patches_that_are_the_same_are_merged_first():
    keys = torch.eye(8)[None].repeat(1, 1, 1)
    keys = torch.cat([torch.zeros(1, 1, 8), keys], dim=1)
    keys[0, 4] = keys[0, 3]  # the third and fourth patch, one of each half
    tokens = torch.arange(9.0)[None, :, None].expand(1, 9, 8)
    merged, sizes = merge(tokens, torch.ones(1, 9, 1), keys, 1)
    assert merged.shape == (1, 8, 8)
    assert merged[sizes[..., 0] == 2][:, 0].tolist() == [3.5]


def test_an_even_image_loses_nothing_by_merging(encoder):
    even = np.full((1, 32, 32, 3), 77, np.uint8)
    whole = embed(encoder, even, merged=0)
    # Positions differ from patch to patch, so it is not exact.
    assert (whole * embed(encoder, even, merged=4)).sum() > 0.99
