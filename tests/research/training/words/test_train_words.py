"""`finesight train words` makes a bundle that finds images by their classes' nouns and colours."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="making models needs PyTorch")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript")

from finesight import load_model  # noqa: E402
from finesight.cli.app import app  # noqa: E402
from finesight.errors import DataError, InputError  # noqa: E402
from finesight.research.training.words.classifier import Classifier  # noqa: E402
from finesight.research.training.words.space import SpaceSettings  # noqa: E402
from finesight.research.training.words.training import train_words  # noqa: E402

PAINTS = {"red": (215, 25, 30), "green": (35, 150, 50), "blue": (35, 70, 205)}
SMALL = SpaceSettings(directions=2, axes=8, rounds=5)


@pytest.fixture
def photos(tmp_path):
    """Noise in three colours, and a file that is no photo."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, paint in PAINTS.items():
        noise = np.array(paint) + rng.integers(-20, 20, (90, 120, 3))
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("no photo")
    return folder


def plain(paint):
    return np.full((1, 64, 64, 3), paint, np.uint8)


@pytest.mark.parametrize(("precision", "seen"), [("fp32", False), ("fp32", True), ("int8", True)])
def test_a_bundle_finds_by_nouns_and_colours(
    classifier_folder, taxonomy_folder, photos, tmp_path, precision, seen
):
    out = tmp_path / "model"
    train_words(
        Classifier.read(classifier_folder),
        taxonomy_folder,
        out,
        images=photos if seen else None,
        precision=precision,
        settings=SMALL,
    )
    model = load_model(str(out))
    assert model.encoder.width == 5 + 12 + 2 * seen
    images = np.concatenate([model.encoder.encode_images(plain(p)) for p in PAINTS.values()])
    texts = ["poodle", "the Beagles", "wire-haired terrier", "red", "green", "blue", "red poodle"]
    found = (model.encoder.encode_texts(texts) @ images.T).argmax(axis=1)
    assert found.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert model.encoder.unknown_words("a poodle at a wedding") == ["wedding"]
    assert not model.encoder.encode_texts(["wedding"]).any()
    assert (out / "LICENSE.WordNet").read_text() == "A licence of its own.\n"
    assert "dog" in model.background


def test_int8_without_photos_is_refused(classifier_folder, taxonomy_folder, tmp_path):
    classifier = Classifier.read(classifier_folder)
    with pytest.raises(InputError, match="int8 needs photos"):
        train_words(classifier, taxonomy_folder, tmp_path / "out", precision="int8")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no photo that can be read"):
        train_words(classifier, taxonomy_folder, tmp_path / "out", images=tmp_path / "none")
    assert not (tmp_path / "out").exists()


def run(*words):
    return CliRunner().invoke(app, ["train", "words", *map(str, words)])


def test_the_command_says_what_it_made(classifier_folder, taxonomy_folder, tmp_path):
    out = tmp_path / "model"
    options = ("--taxonomy", taxonomy_folder, "--out", out, "--json")
    result = run(classifier_folder, *options)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["bundle"] == str(out) and said["words"] > 10 and said["width"] == 17
    assert json.loads((out / "finesight.json").read_text())["provenance"]["classes"] == 5
    again = run(classifier_folder, *options)
    assert isinstance(again.exception, InputError) and "is there already" in str(again.exception)


def test_an_unknown_precision_is_refused(classifier_folder, taxonomy_folder, tmp_path):
    result = run(
        classifier_folder, "--taxonomy", taxonomy_folder, "--out", tmp_path / "m",
        "--precision", "fp4",
    )  # fmt: skip
    assert isinstance(result.exception, InputError) and "fp32, int8" in str(result.exception)
