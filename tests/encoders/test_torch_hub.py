import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers", reason="PyTorch encoders need finesight[torch]")

import torch
from checkpoints import KINDS, TEXTS, edit_json, make_checkpoint, random_crops

from finesight.encoders.base import TextTooLongWarning
from finesight.encoders.torch_hub import TransformersEncoder
from finesight.encoders.torch_open_clip import OpenClipEncoder
from finesight.errors import DataError, InputError, MissingDependencyError
from finesight.models import load_model

CLIP_FILES = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP checkpoint and its model."""
    folder = tmp_path_factory.mktemp("clip")
    return folder, make_checkpoint(folder)


@pytest.fixture
def copy(clip, tmp_path):
    """A copy of the checkpoint that a test may damage."""
    return shutil.copytree(clip[0], tmp_path / "copy")


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_the_models_own(kind, tmp_path):
    model = make_checkpoint(tmp_path, kind)
    encoder = TransformersEncoder(tmp_path)
    crops = random_crops()
    with torch.inference_mode():
        pixels = torch.from_numpy(encoder.preprocessing.tensor(crops))
        images = model.get_image_features(pixels).pooler_output.numpy()
    ours = encoder.encode_images(crops)
    np.testing.assert_allclose(ours, images / np.linalg.norm(images, axis=1)[:, None], atol=1e-5)
    assert encoder.encode_texts(TEXTS).shape == (3, encoder.width) == (3, ours.shape[1])
    assert encoder.encode_spatial(crops).ndim == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_does_not_depend_on_its_batch(kind, tmp_path):
    make_checkpoint(tmp_path, kind)
    encoder = TransformersEncoder(tmp_path)
    together = encoder.encode_texts(TEXTS)
    for text, embedding in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(encoder.encode_texts([text])[0], embedding, atol=1e-5)


def test_longer_positions_are_used_and_what_is_beyond_them_is_said(tmp_path):
    make_checkpoint(tmp_path, longest=40)
    edit_json(tmp_path / "tokenizer_config.json", lambda c: c.update(model_max_length=16))
    encoder = TransformersEncoder(tmp_path)
    assert encoder.longest_text == 40
    words = ["red", "car"] * 18
    short, long = " ".join(words), " ".join([*words[:-1], "mug"])
    assert encoder.encode_texts([short])[0] @ encoder.encode_texts([long])[0] < 0.9999
    with pytest.warns(TextTooLongWarning, match=r"'red car .* reads 40 tokens"):
        encoder.encode_texts([" ".join(["red", "car"] * 30)])


def test_spatial_features_are_in_the_order_of_the_pixels(clip):
    encoder = TransformersEncoder(clip[0])
    image = Image.fromarray(random_crops(1)[0])
    image.paste((255, 0, 0), (0, 24, 8, 32))  # the lowest patch on the left
    before, after = (
        encoder.encode_spatial(np.asarray(i)[None])[0] for i in (random_crops(1)[0], image)
    )
    changed = np.abs(after - before).mean(axis=2)
    assert before.shape == (4, 4, 32)
    assert np.unravel_index(changed.argmax(), (4, 4)) == (3, 0)


def test_a_folder_with_a_checkpoint_is_a_model(clip, copy):
    model = load_model(str(copy))
    assert isinstance(model.encoder, TransformersEncoder)
    assert model.fingerprint == load_model(str(clip[0])).fingerprint
    edit_json(copy / "preprocessor_config.json", lambda c: c.update(image_mean=[0, 0, 0]))
    assert load_model(str(copy)).fingerprint != model.fingerprint


def test_a_pickle_is_refused(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(DataError, match="pickle only"):
        load_model(str(copy)).encoder.encode_images(random_crops())


def test_a_model_without_an_image_tower_is_named(copy):
    edit_json(
        copy / "config.json", lambda c: (c.clear(), c.update(model_type="bert", vocab_size=12))
    )
    with pytest.raises(DataError, match="is a BertModel: a model with an image and a text tower"):
        load_model(str(copy)).encoder.encode_images(random_crops())


@pytest.mark.parametrize("file", CLIP_FILES)
def test_a_damaged_file_is_one_sentence(copy, file):
    (copy / file).write_bytes((copy / file).read_bytes()[:40])
    encoder = load_model(str(copy)).encoder
    with pytest.raises(DataError, match="download"):
        encoder.encode_texts(TEXTS)


def test_openclip_says_what_it_needs():
    try:
        import open_clip  # noqa: F401
    except (ImportError, RuntimeError):
        with pytest.raises(MissingDependencyError, match="open-clip"):
            load_model("open_clip:ViT-B-32/laion2b_s34b_b79k")
        pytest.skip("OpenCLIP cannot be imported here")
    with pytest.raises(DataError, match="has no model"):
        OpenClipEncoder("ViT-B-32/nonsense")


def test_a_checkpoint_runs_in_bfloat16_and_in_no_other_precision(tmp_path):
    make_checkpoint(tmp_path / "model")
    full, half = load_model(str(tmp_path / "model")), load_model(str(tmp_path / "model@bf16"))
    crops = random_crops(4)
    cosines = (full.encoder.encode_images(crops) * half.encoder.encode_images(crops)).sum(axis=1)
    assert 0.99 < cosines.min() < 0.999999
    assert half.fingerprint != full.fingerprint
    assert load_model(half.source).fingerprint == half.fingerprint
    with pytest.raises(InputError, match=r"finesight export .* --precision int8"):
        load_model(str(tmp_path / "model@int8"))
