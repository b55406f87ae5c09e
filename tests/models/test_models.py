import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import errors

from finesight.encoders.base import TextTooLongWarning
from finesight.errors import DataError, InputError
from finesight.models import BUNDLED, load_model
from finesight.models.catalogue import RECOMMENDED, list_models


@pytest.fixture
def bundle(tmp_path):
    """A copy of mini that a test may damage."""
    return shutil.copytree(BUNDLED["mini"], tmp_path / "model")


def test_mini_is_small_enough_to_come_along():
    size = sum(path.stat().st_size for path in BUNDLED["mini"].rglob("*") if path.is_file())
    assert size <= 16_000_000


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
    with pytest.raises(DataError, match="--model photo"):
        load_model("somebody/something")


def test_a_precision_is_asked_for_behind_the_name(bundle):
    (bundle / "finesight.json").unlink()
    for tower in ("vision_model", "text_model"):
        shutil.copy(bundle / "onnx" / f"{tower}.onnx", bundle / "onnx" / f"{tower}_quantized.onnx")
    plain, small = load_model(str(bundle)), load_model(f"{bundle}@int8")
    assert small.source == f"{bundle}@int8"
    assert small.fingerprint != plain.fingerprint
    assert small.encoder.encode_texts(["mug"]).shape == (1, 128)
    assert load_model(small.source).fingerprint == small.fingerprint
    with pytest.raises(DataError, match=r"not a complete fp16 model.*vision_model_quantized\.onnx"):
        load_model(f"{bundle}@fp16")
    with pytest.raises(DataError, match="fp32, fp16, int8"):
        load_model(f"{bundle}@fp8")


def test_a_combined_graph_is_refused_by_name(bundle):
    (bundle / "onnx" / "vision_model.onnx").rename(bundle / "onnx" / "model.onnx")
    with pytest.raises(DataError, match=r"combined graph \(onnx/model.onnx\).*finesight export"):
        load_model(str(bundle))


def test_a_graph_without_the_embedding_is_named(bundle):
    (bundle / "finesight.json").unlink()
    shutil.copy(bundle / "onnx" / "text_model.onnx", bundle / "onnx" / "vision_model.onnx")
    with pytest.raises(DataError, match=r"takes .*input_ids.* gives .*pixel_values.* is needed"):
        load_model(str(bundle)).encoder.encode_images(np.zeros((1, 64, 64, 3), np.uint8))


def test_weights_may_lie_beside_the_graph_and_identify_the_model(bundle):
    onnx = pytest.importorskip("onnx")
    (bundle / "finesight.json").unlink()
    path = bundle / "onnx" / "vision_model.onnx"
    graph = onnx.load(path)
    path.unlink()
    onnx.save(graph, path, save_as_external_data=True, location="vision_model.onnx_data")
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    model = load_model(str(bundle))
    expected = load_model("mini").encoder.encode_images(crops)
    np.testing.assert_allclose(model.encoder.encode_images(crops), expected, atol=1e-5)
    weights = bundle / "onnx" / "vision_model.onnx_data"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 64
    weights.write_bytes(data)
    assert load_model(str(bundle)).fingerprint != model.fingerprint
    weights.unlink()
    with pytest.raises(DataError, match="vision_model"):
        load_model(str(bundle)).encoder.encode_images(crops)


def test_a_half_downloaded_repository_is_asked_for_again(monkeypatch, bundle):
    """One tower is in the hub's cache, the other is not: what is there is not taken for all."""
    (bundle / "onnx" / "text_model.onnx").unlink()
    calls = []

    def snapshot(repository, allow_patterns, local_files_only=False):
        calls.append(local_files_only)
        if not local_files_only:
            shutil.copy(BUNDLED["mini"] / "onnx" / "text_model.onnx", bundle / "onnx")
        return str(bundle)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda name: ["onnx/text_model.onnx"])
    assert load_model("someone/model").encoder.encode_texts(["mug"]).shape == (1, 128)
    assert calls[-1] is False
    calls.clear()
    load_model("someone/model")
    assert calls == [True]


def test_mini_gives_a_feature_map_that_says_where_something_is():
    crops = np.full((2, 64, 64, 3), 120, np.uint8)
    crops[1, 40:56, 8:24] = (220, 20, 20)
    features = load_model("mini").encoder.encode_spatial(crops)
    assert features.shape == (2, 8, 8, 128)
    change = np.abs(features[1] - features[0]).sum(axis=2)
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert (4 <= row <= 7) and (0 <= column <= 3)


def test_a_model_without_a_feature_map_says_so(bundle):
    onnx = pytest.importorskip("onnx")
    path = bundle / "onnx" / "vision_model.onnx"
    graph = onnx.load(path)
    del graph.graph.output[1]
    onnx.save(graph, path)
    (bundle / "finesight.json").unlink()
    with pytest.raises(DataError, match="no last_hidden_state"):
        load_model(str(bundle)).encoder.encode_spatial(np.zeros((1, 64, 64, 3), np.uint8))


def test_long_texts_are_cut_and_the_limit_is_named():
    encoder = load_model("mini").encoder
    with pytest.warns(TextTooLongWarning, match="the model reads 24 tokens"):
        long = encoder.encode_texts(["red " * 50])
    np.testing.assert_allclose(long, encoder.encode_texts(["red " * 22]), atol=1e-6)


@pytest.mark.parametrize(
    ("status", "message"), [(401, "the hub has no model a/b, or it is private"), (403, "is gated")]
)
def test_the_hubs_refusals_say_what_to_do(monkeypatch, status, message):
    kind = errors.GatedRepoError if status == 403 else errors.RepositoryNotFoundError

    def missing(*_, **__):
        raise errors.LocalEntryNotFoundError("not in the cache")

    def refuse(*_, **__):
        raise kind(
            "refused", response=SimpleNamespace(headers={}, request=None, status_code=status)
        )

    monkeypatch.setattr(huggingface_hub, "snapshot_download", missing)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", refuse)
    with pytest.raises(DataError, match=message):
        load_model("a/b")


def test_the_catalogue_lists_bundled_cached_and_recommended_models(monkeypatch, tmp_path, bundle):
    snapshot = tmp_path / "hub" / "models--me--clip" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(bundle, snapshot)
    refs = tmp_path / "hub" / "models--me--clip" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    scan = huggingface_hub.scan_cache_dir
    monkeypatch.setattr(huggingface_hub, "scan_cache_dir", lambda: scan(tmp_path / "hub"))
    mini, photo, cached, *others = list_models()
    assert (mini.source, mini.status, mini.side) == ("mini", "bundled", 64)
    assert (photo.source, photo.status, photo.side) == ("photo", "bundled", 224)
    assert (cached.source, cached.status) == ("me/clip", "cached")
    assert cached.megabytes == pytest.approx(mini.megabytes, rel=0.01)
    assert others == list(RECOMMENDED)
    monkeypatch.setattr(huggingface_hub, "scan_cache_dir", lambda: scan(tmp_path / "nowhere"))
    assert len(list_models()) == 2 + len(RECOMMENDED)
