import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from finesight.cli.app import app
from finesight.errors import InputError
from finesight.research.scenes import render, standard_sets
from finesight.research.scenes.sampling import Recipe


@pytest.fixture(autouse=True)
def no_blender(monkeypatch):
    """Files in the place of images: what is drawn does not matter here."""
    monkeypatch.setattr(render, "find_blender", lambda: lambda job, path: Path(path).touch())


def run(*words):
    return CliRunner().invoke(app, ["render", *map(str, words)])


def test_options_reach_the_recipe(tmp_path):
    words = ["--images", 2, "--size", 96, "--seed", 4, "--split", "test", "--mode", "small"]
    words += ["--look", "textured", "--areas", "0.0001", "0.97"]
    result = run("clevr-ds", "--out", tmp_path / "a", *words)
    assert result.exit_code == 0, result.output
    settings = json.loads((tmp_path / "a" / "dataset.json").read_text())
    expected = {"seed": 4, "split": "test", "size": 96, "mode": "small", "look": "textured"}
    assert expected.items() <= settings.items()
    assert settings["areas"] == [0.0001, 0.97]
    assert len(settings["classes"]) == 51
    assert len(settings["never_named"]) == 15
    assert set(settings["never_named"]) < set(settings["classes"])
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert {"captions.jsonl", "queries.jsonl", "negatives.jsonl", "instances.json"} < names


@pytest.mark.parametrize("kind", ["objects", "identities"])
def test_other_kinds(tmp_path, kind):
    result = run(kind, "--out", tmp_path / "a", "--images", 1, "--size", 192)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "a" / "dataset.json").read_text())["kind"] == kind


def test_what_cannot_be_drawn_leaves_nothing(tmp_path):
    result = run("clevr-ds", "--out", tmp_path / "a", "--look", "fancy")
    assert isinstance(result.exception, InputError)
    assert "plain, textured" in str(result.exception)
    result = run("clevr-ds", "--out", tmp_path / "a", "--shapenet", tmp_path)
    assert "name the folder of ShapeNetCore" in str(result.exception)
    assert not (tmp_path / "a").exists()


def test_standard_sets_can_be_drawn_in_part(tmp_path, monkeypatch):
    small = (Recipe(size=96), 3)
    monkeypatch.setattr(standard_sets, "STANDARD_SETS", {"one": small, "two": small})
    assert run("standard-sets", "--out", tmp_path, "--only", "one", "--images", 2).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert len(list((tmp_path / "one" / "images").iterdir())) == 2
    result = run("standard-sets", "--out", tmp_path)
    assert "1 images rendered, 2 were there" in result.stderr
    assert len(list((tmp_path / "two" / "images").iterdir())) == 3
    unknown = run("standard-sets", "--out", tmp_path, "--only", "three")
    assert unknown.exit_code == 2
    assert "no set 'three'" in unknown.stderr
