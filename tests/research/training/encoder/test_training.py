"""Training on toy scenes: the loss falls, a stopped run goes on, the bundle equals the network."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript")

from tokenizers import Tokenizer  # noqa: E402

from finesight.errors import DataError, InputError  # noqa: E402
from finesight.research.training.encoder.concepts import SHOWN  # noqa: E402
from finesight.research.training.encoder.crops import load_rendered  # noqa: E402
from finesight.research.training.encoder.export import export_small_clip  # noqa: E402
from finesight.research.training.encoder.training import (  # noqa: E402
    TrainingSettings,
    spoken_concepts,
    train_encoder,
)
from finesight.research.training.run import Run, load_checkpoint, save_checkpoint, warm_cosine  # noqa: E402  # noqa: E402

SETTINGS = TrainingSettings(steps=40, batch=48, texts=16, warm_up=4)


@pytest.fixture(scope="module")
def data(toy_scenes):
    training, validation = toy_scenes
    return load_rendered([training], validation)


@pytest.fixture(scope="module")
def trained(data):
    seen = []
    encoder = train_encoder(
        data,
        SETTINGS,
        Run(report=seen.append),
        validate_every=20,
    )
    return encoder, seen


def test_the_loss_falls(trained):
    _, seen = trained
    losses = [step.loss for step in seen]
    assert [step.done for step in seen] == list(range(1, 41))
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    assert [step.done for step in seen if step.scores] == [20, 40]


def test_it_learns_colours_first_and_says_so(trained):
    encoder, _ = trained
    assert {"class@0.9", "color@0.9"} <= set(encoder.scores)
    assert encoder.scores["color@0.9"] > 0.6  # chance is a third


def test_the_bundle_computes_what_the_network_does(trained, tmp_path):
    encoder, _ = trained
    assert export_small_clip(encoder.network, encoder.tokenizer, tmp_path) > 0.9999
    pixels = torch.rand(5, 3, 64, 64)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    encoded = tokenizer.encode_batch(["a photo of a red disc", "disc", ""])
    tokens = {
        "input_ids": np.array([e.ids for e in encoded]),
        "attention_mask": np.array([e.attention_mask for e in encoded]),
    }
    with torch.inference_mode():
        images = encoder.network.image(pixels).numpy()
        texts = encoder.network.text(*(torch.from_numpy(value) for value in tokens.values()))
    found = _run(tmp_path, "vision", "image_embeds", {"pixel_values": pixels.numpy()})
    np.testing.assert_allclose(found, images, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        _run(tmp_path, "text", "text_embeds", tokens), texts.numpy(), rtol=1e-3, atol=1e-3
    )
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == [
        "dense_model.onnx",
        "region_head.onnx",
        "text_model.onnx",
        "vision_model.onnx",
    ]
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["resample"] == 3


def _run(bundle, tower, output, inputs):
    session = onnxruntime.InferenceSession(bundle / "onnx" / f"{tower}_model.onnx")
    return session.run([output], inputs)[0]


def test_a_stopped_run_ends_as_an_unbroken_one_does(data, tmp_path):
    settings = TrainingSettings(steps=9, batch=16, texts=14, warm_up=2)
    checkpoint = tmp_path / "deep" / "run.checkpoint"

    def stop(step):
        if step.done == 7:
            raise KeyboardInterrupt

    def train(report, checkpoint=None):
        return train_encoder(
            data,
            settings,
            Run(checkpoint, report),
            keep_every=3,
        )

    unbroken = []
    train(unbroken.append)
    with pytest.raises(KeyboardInterrupt):
        train(stop, checkpoint)
    resumed = []
    train(resumed.append, checkpoint)
    assert [step.done for step in resumed] == [7, 8, 9]
    assert [s.loss for s in resumed] == pytest.approx([s.loss for s in unbroken[6:]], rel=1e-3)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "run.checkpoint"
    save_checkpoint(path, {"seed": 0, "steps": 5}, {"step": 2})
    assert load_checkpoint(path, {"seed": 0, "steps": 5}) == {"step": 2}
    assert load_checkpoint(tmp_path / "none", {}) is None
    with pytest.raises(InputError, match=r"other settings \(steps\)"):
        load_checkpoint(path, {"seed": 0, "steps": 6})


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_a_sentence(tmp_path, damage):
    path = tmp_path / "run.checkpoint"
    save_checkpoint(path, {}, {"step": 2})
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    with pytest.raises(DataError, match="not a readable checkpoint"):
        load_checkpoint(path, {})


def test_the_rate_rises_and_falls():
    rates = [warm_cosine(step, 100, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001 and rates[55] == pytest.approx(0.5)


def test_every_shown_pair_is_asked_about_and_then_others():
    content = np.zeros((3, 20), np.int8)
    content[[0, 1], [15, 18]] = SHOWN
    rng = np.random.default_rng(0)
    spoken = spoken_concepts(content, 8, 11, rng)
    assert spoken[:8].tolist() == list(range(8))
    assert {15, 18} <= set(spoken) and len(set(spoken)) == 11
    assert len(spoken_concepts(content, 8, 500, rng)) == 20
