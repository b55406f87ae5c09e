import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from checkpoints import edit_json, make_grounding_dino, make_owlv2
from PIL import Image
from typer.testing import CliRunner

from finesight.cli.app import app
from finesight.errors import DataError, InputError
from finesight.images.open import Picture
from finesight.proposals import parse_proposer
from finesight.proposals.detector import load_detector
from finesight.proposals.onnx_detector import MODEL, padded_square
from finesight.research.training.detector_export import export_detector

SIZE = (60, 40)


@pytest.fixture(scope="module")
def owlv2(tmp_path_factory):
    directory = tmp_path_factory.mktemp("owlv2")
    return directory, make_owlv2(directory)


@pytest.fixture(scope="module")
def exported(owlv2, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx") / "detector"
    assert export_detector(str(owlv2[0]), out) < 1e-3
    return out


@pytest.fixture(scope="module")
def grounding_dino(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dino")
    return directory, make_grounding_dino(directory)


@pytest.fixture
def image():
    ramp = np.linspace(0, 255, SIZE[0])[None, :, None] * np.linspace(1, 0.2, SIZE[1])[:, None, None]
    return Image.fromarray(np.repeat(ramp, 3, axis=2).astype(np.uint8))


def test_owlv2_finds_by_words_what_transformers_finds(owlv2, image):
    directory, model = owlv2
    found = load_detector(str(directory), ("red mug", "car")).detect(Picture(image))
    pixels = transformers.Owlv2ImageProcessorPil.from_pretrained(directory)
    tokens = transformers.AutoTokenizer.from_pretrained(directory)(
        ["red mug", "car"], padding="max_length", max_length=16, return_tensors="pt"
    )
    given = {k: tokens[k] for k in ("input_ids", "attention_mask")}
    ours = torch.from_numpy(padded_square(image, load_detector(str(directory)).preprocessing))
    with torch.inference_mode():
        out = model(pixel_values=ours, **given)
    # Its sizes scale the boxes of the padded square, whose side is the longer one.
    (theirs,) = pixels.post_process_object_detection(
        out, threshold=-1.0, target_sizes=torch.tensor([[max(SIZE), max(SIZE)]])
    )
    boxes = np.clip(theirs["boxes"].numpy() / np.array([*SIZE, *SIZE]), 0, 1)
    assert found.scores == pytest.approx(theirs["scores"].numpy(), abs=1e-5)
    assert found.boxes == pytest.approx(boxes, abs=1e-5)


def test_owlv2s_input_is_what_transformers_makes(owlv2, image):
    theirs = transformers.Owlv2ImageProcessorPil.from_pretrained(owlv2[0])(
        images=image, return_tensors="np"
    )["pixel_values"]
    ours = padded_square(image, load_detector(str(owlv2[0])).preprocessing)
    assert ours.shape == theirs.shape
    rows = round(32 * SIZE[1] / SIZE[0])
    assert np.abs(ours - theirs)[:, :, : rows - 1].mean() < 0.05
    assert np.abs(ours - theirs)[:, :, rows + 1 :].max() < 1e-5  # the black below


def test_without_words_owlv2_ranks_by_objectness_and_onnx_does_the_same(owlv2, exported, image):
    here = load_detector(str(owlv2[0])).detect(Picture(image))
    there = load_detector(str(exported)).detect(Picture(image))
    assert here.boxes.shape == (16, 4)
    assert there.boxes == pytest.approx(here.boxes, abs=1e-3)
    assert there.scores == pytest.approx(here.scores, abs=1e-3)
    assert np.ptp(here.scores) > 0.1


def test_grounding_dino_finds_what_transformers_finds(grounding_dino, image):
    directory, model = grounding_dino
    found = load_detector(str(directory), ("red mug",)).detect(Picture(image))
    processor = transformers.AutoProcessor.from_pretrained(directory)
    given = processor(images=image, text="red mug.", return_tensors="pt")
    with torch.inference_mode():
        out = model(**given)
    (theirs,) = processor.post_process_grounded_object_detection(
        out, given["input_ids"], threshold=-1.0
    )
    boxes = np.clip(theirs["boxes"].numpy(), 0, 1)
    assert found.scores == pytest.approx(theirs["scores"].numpy(), abs=1e-5)
    assert found.boxes == pytest.approx(boxes, abs=1e-5)
    other = load_detector(str(directory)).detect(Picture(image))
    assert not np.allclose(other.scores, found.scores)  # it reads


def test_regions_of_a_detector(exported, image):
    proposer = parse_proposer(f"detect:{exported},most=5,overlap=0.3")
    windows = proposer.windows(Picture(image))
    assert windows[0].tolist() == [0, 0, 1, 1]
    assert 2 <= len(windows) <= 6
    assert ((windows >= 0) & (windows <= 1)).all()
    assert (proposer.finest(4000, 3000)[0, 2:] <= 0.001).all()  # every pixel is wanted


def test_what_is_no_detector_is_refused(owlv2, exported, grounding_dino, tmp_path):
    with pytest.raises(InputError, match="reads no words"):
        load_detector(str(exported), ("mug",))
    with pytest.raises(InputError, match="holds no detector"):
        load_detector(str(tmp_path))
    with pytest.raises(InputError, match=r"unknown detector 'owl'.*COCO file"):
        load_detector("owl")
    with pytest.raises(InputError, match="is there already"):
        export_detector(str(owlv2[0]), tmp_path)
    with pytest.raises(InputError, match="cannot be exported"):
        export_detector(str(grounding_dino[0]), tmp_path / "new")
    other = tmp_path / "other"
    shutil.copytree(owlv2[0], other)
    edit_json(other / "config.json", lambda config: config.update(model_type="clip"))
    with pytest.raises(InputError, match="kind 'clip': detectors are OWLv2"):
        load_detector(str(other))
    broken = tmp_path / "broken"
    shutil.copytree(exported, broken)
    (broken / MODEL).write_bytes(b"none")
    with pytest.raises(DataError, match="is damaged"):
        load_detector(str(broken))


def test_the_commands(owlv2, tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "detector"
    done = run(app, ["export", str(owlv2[0]), str(out), "--detector", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["difference"] < 1e-3
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.png")
    where = ["--regions", f"detect:{out},most=3", "--out", str(tmp_path / "f")]
    done = run(app, ["features", str(tmp_path / "a.png"), "--model", "mini", *where, "--json"])
    assert done.exit_code == 0, done.output
    settings = json.loads((tmp_path / "f/features.json").read_text())
    assert settings["regions"] == f"detect:{out.resolve()},most=3"
