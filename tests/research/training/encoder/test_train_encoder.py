"""`finesight train encoder`: from folders to a bundle, and bad input as one sentence."""

import json

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="training needs PyTorch")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript")

from finesight.cli.train import app
from finesight.errors import FinesightError, MissingDependencyError


def train(*arguments):
    return CliRunner().invoke(app, ["encoder", *map(str, arguments)])


def test_from_scenes_to_a_bundle(toy_scenes, tmp_path):
    training, validation = toy_scenes
    out = tmp_path / "toy"
    result = train(
        "--scenes", training, "--scenes", training, "--validation", validation, "--out", out,
        "--steps", 3, "--batch", 16, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["scores"]["onnx_cosine"] > 0.9999
    manifest = json.loads((out / "finesight.json").read_text())
    sources = manifest["provenance"]["scenes"]
    assert [(s["name"], s["seed"], s["images"]) for s in sources] == [("train", 1, 24)] * 2
    assert manifest["provenance"]["validation"]["name"] == "val"
    assert manifest["provenance"]["settings"]["steps"] == 3
    assert str(tmp_path) not in (out / "finesight.json").read_text()
    assert not list(tmp_path.glob("*.checkpoint*"))


@pytest.mark.parametrize("missing", ["scenes", "validation"])
def test_a_folder_that_is_not_there(toy_scenes, tmp_path, missing):
    folders = dict(zip(("scenes", "validation"), toy_scenes, strict=True))
    folders[missing] = tmp_path / "nowhere"
    result = train(
        "--scenes", folders["scenes"], "--validation", folders["validation"], "--out", tmp_path
    )
    assert isinstance(result.exception, FinesightError)
    assert "nowhere" in str(result.exception)


def test_without_pytorch_it_says_what_to_install(toy_scenes, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    training, validation = toy_scenes
    result = train("--scenes", training, "--validation", validation, "--out", tmp_path)
    assert isinstance(result.exception, MissingDependencyError)
    assert "finesight[torch]" in str(result.exception)


def test_the_help_has_an_example():
    assert "finesight train encoder --scenes" in train("--help").stdout
