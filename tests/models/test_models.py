import json
import shutil

import numpy as np
import pytest

from finesight.errors import DataError, InputError
from finesight.models import BUNDLED, load_model


@pytest.fixture
def bundle(tmp_path):
    """A copy of mini that a test may damage."""
    return shutil.copytree(BUNDLED["mini"], tmp_path / "model")


def test_mini_is_small_enough_to_come_along():
    size = sum(path.stat().st_size for path in BUNDLED["mini"].rglob("*") if path.is_file())
    assert size <= 8_000_000


def test_mini_reads_words_with_and_without_a_prompt():
    texts = ["red mug", "a photo of a red mug", "blue mug", "red car"]
    red, prompted, blue, car = load_model("mini").encoder.encode_texts(texts)
    assert red @ prompted > max(red @ blue, red @ car, prompted @ blue, prompted @ car)


def test_a_text_does_not_depend_on_its_batch():
    encoder = load_model("mini").encoder
    alone = encoder.encode_texts(["mug"])
    together = encoder.encode_texts(["mug", "a photo of a very small red mug on a gray ground"])
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_a_folder_is_the_same_model(bundle):
    assert load_model(str(bundle)).fingerprint == load_model("mini").fingerprint


def test_a_folder_without_a_manifest_is_a_model_of_the_hub(bundle):
    (bundle / "finesight.json").unlink()
    model = load_model(str(bundle))
    assert model.fingerprint == load_model("mini").fingerprint
    assert model.prompt == "a photo of a {}"


def test_other_weights_have_another_fingerprint(bundle):
    (bundle / "finesight.json").unlink()
    with (bundle / "tokenizer.json").open("a") as file:
        file.write(" ")
    assert load_model(str(bundle)).fingerprint != load_model("mini").fingerprint


@pytest.mark.parametrize(
    "file", ["onnx/vision_model.onnx", "tokenizer.json", "preprocessor_config.json"]
)
def test_an_altered_file_is_named(bundle, file):
    data = bytearray((bundle / file).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / file).write_bytes(bytes(data))
    with pytest.raises(DataError, match=file.replace(".", r"\.")):
        load_model(str(bundle))


def test_a_missing_file_is_named(bundle):
    (bundle / "onnx" / "text_model.onnx").unlink()
    with pytest.raises(DataError, match=r"text_model\.onnx is missing"):
        load_model(str(bundle))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_manifest(bundle, content):
    (bundle / "finesight.json").write_text(content)
    with pytest.raises(DataError, match="damaged"):
        load_model(str(bundle))


def test_a_newer_manifest(bundle):
    path = bundle / "finesight.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    with pytest.raises(DataError, match="update finesight"):
        load_model(str(bundle))


@pytest.mark.parametrize("part", ["onnx/vision_model.onnx", "tokenizer.json"])
def test_damaged_parts_of_a_hub_model(bundle, part):
    (bundle / "finesight.json").unlink()
    (bundle / part).write_bytes(b"damaged")
    encoder = load_model(str(bundle)).encoder
    with pytest.raises(DataError, match="damaged"):
        encoder.encode_texts(["mug"])
        encoder.encode_images(np.zeros((1, 64, 64, 3), np.uint8))


def test_unknown_names_say_what_there_is():
    with pytest.raises(InputError, match="mini"):
        load_model("nothing")


def test_the_hub_without_a_network_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="--model mini"):
        load_model("somebody/something")
