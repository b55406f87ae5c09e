"""Windows read out of one pass: exact where they must be, the same in both runtimes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="these networks need PyTorch")
pytest.importorskip("transformers", reason="checkpoints need finesight[torch]")

from checkpoints import make_checkpoint, random_crops  # noqa: E402
from PIL import Image  # noqa: E402

from finesight.encoders.dense import TokenTower, windows_of_patches  # noqa: E402
from finesight.encoders.torch_hub import TransformersEncoder  # noqa: E402
from finesight.encoders.torch_regions import TorchRegions, positions_for  # noqa: E402
from finesight.errors import DataError, InputError  # noqa: E402
from finesight.images.open import Picture  # noqa: E402
from finesight.models import load_model  # noqa: E402
from finesight.proposals import encode_proposals, parse_proposer  # noqa: E402
from finesight.research.training.bundle_export import export_model  # noqa: E402

KINDS = ("clip", "siglip", "chinese_clip", "altclip", "metaclip_2")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_the_window_that_is_the_whole_image_is_its_embedding(kind, layers, tmp_path):
    make_checkpoint(tmp_path, kind)
    encoder = TransformersEncoder(tmp_path)
    crop = random_crops(1)
    boxes, seen = TorchRegions(encoder, layers).read(crop[0], [4, 2])
    assert boxes.tolist()[0] == [0, 0, 1, 1] and len(boxes) == len(seen) == 10
    np.testing.assert_allclose(seen[0], encoder.encode_images(crop)[0], atol=1e-5)


def test_positions_are_their_own_where_there_are_as_many():
    stored = torch.randn(16, 8)
    torch.testing.assert_close(positions_for(stored, 4), stored, atol=1e-6, rtol=0)
    assert positions_for(stored, 7).shape == (49, 8)
    even = torch.ones(16, 8)
    torch.testing.assert_close(positions_for(even, 7), torch.ones(49, 8))


def test_a_window_alone_from_the_start_sees_nothing_beside_it_but_through_patches(tmp_path):
    make_checkpoint(tmp_path)
    tower = TorchRegions(TransformersEncoder(tmp_path), layers=1)
    crop = random_crops(1)[0]
    network, pixels = tower.network, torch.from_numpy(tower.preprocessing.tensor(crop[None]))
    boxes, inside = windows_of_patches(4, [2])
    with torch.inference_mode():
        tokens = network.before(network._tokens(pixels))
        for layer in network.layers[:-1]:
            tokens = layer(tokens, attention_mask=None)
        # Patches outside of a window may become anything before the last layer.
        from finesight.encoders.torch_regions import NOTHING, _beside

        window = torch.from_numpy(inside[:1])
        outside = torch.cat([torch.zeros(1, 1), (1 - window) * NOTHING], dim=1)
        changed = tokens[0].clone()
        changed[1:][window[0] == 0] += 5.0
        changed[0] += 5.0
        own = tokens[0, :1]
        before = _beside(network.layers[-1], own, tokens[0], outside)
        after = _beside(network.layers[-1], own, changed, outside)
    torch.testing.assert_close(before, after)
    assert boxes[0].tolist() == [0, 0, 0.5, 0.5]


def test_the_mean_of_values_is_that_of_its_patches(tmp_path):
    make_checkpoint(tmp_path)
    tower = TorchRegions(TransformersEncoder(tmp_path), values=True)
    _, seen = tower.read(random_crops(1)[0], [4, 2, 1])
    assert seen.shape == (1 + 9 + 16, 24)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_an_exported_bundle_looks_densely_without_torch(kind, tmp_path):
    pytest.importorskip("onnxscript", reason="exporting needs onnxscript")
    make_checkpoint(tmp_path / "model", kind)
    original = load_model(str(tmp_path / "model"))
    _, found = export_model(original, tmp_path / "out", "fp32", dense=True)
    assert found["windows"] > 0.9999
    bundle = load_model(str(tmp_path / "out"))
    assert isinstance(bundle.capabilities.dense, TokenTower)
    image = Image.fromarray(random_crops(1, 100)[0])
    for canvas in (32, 48, 72):
        proposer = parse_proposer(f"dense{canvas}", bundle.capabilities)
        ours = encode_proposals(Picture(image), bundle.encoder, proposer)
        theirs = encode_proposals(
            Picture(image),
            original.encoder,
            parse_proposer(f"dense{canvas}", original.capabilities),
        )
        assert np.array_equal(ours.boxes, theirs.boxes) and len(ours.boxes) > 1
        np.testing.assert_allclose(ours.embeddings, theirs.embeddings, atol=1e-4)
        assert proposer.forward_passes(100, 100) == 1 + (canvas / 32) ** 2
    again = load_model(str(tmp_path / "out"))
    export_model(again, tmp_path / "copy", "fp32")
    assert isinstance(load_model(str(tmp_path / "copy")).capabilities.dense, TokenTower)


def test_towers_of_another_build_are_refused(tmp_path):
    make_checkpoint(tmp_path / "model", "align")
    model = load_model(str(tmp_path / "model"))
    with pytest.raises(DataError, match="look by ccN"):
        parse_proposer("dense64", model.capabilities)
    with pytest.raises(InputError, match="leave out --dense"):
        export_model(load_model("mini"), tmp_path / "out", "fp32", dense=True)
