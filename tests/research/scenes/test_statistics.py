import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from finesight.cli.app import app
from finesight.errors import DataError
from finesight.research.datasets.clevr_ds import SceneImage, SceneObject, SceneSet
from finesight.research.scenes import render
from finesight.research.scenes.sampling import Recipe
from finesight.research.scenes.statistics import count, format_statistics


def scenes(*shares_by_image):
    images = []
    for index, shares in enumerate(shares_by_image):
        names = ("mug", "car", "sofa")
        things = tuple(
            SceneObject(
                class_name=name,
                color="red",
                material="matte",
                instance=0,
                box=(0, 0, 1, 1),
                share=share,
                hidden=0.1 * i,
            )
            for i, (name, share) in enumerate(zip(names, shares, strict=False))
        )
        images.append(SceneImage(path=Path("x"), index=index, width=64, height=64, objects=things))
    classes = ("car", "lamp", "mug", "sofa")
    return SceneSet(settings={}, classes=classes, colors=("red",), images=tuple(images))


def test_counts_by_hand():
    found = count("ours", [scenes([0.002], [0.002, 0.02, 0.7])])
    assert list(found.instances) == [1, 3]
    assert found.by_class == {"car": 1, "lamp": 0, "mug": 2, "sofa": 1}
    assert list(found.histogram) == [0, 0, 2, 0, 1, 0, 0, 0, 1]
    plain = found.plain()
    assert plain["instances_an_image"] == (2.0, 1.0, 3.0)
    assert plain["hidden_most"] == pytest.approx(0.2)
    table = format_statistics([found])
    assert "3.01 (1-5)" in table and "2.00 (1-3)" in table
    with pytest.raises(DataError, match="no object"):
        count("empty", [scenes([])])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "find_blender", lambda: lambda job, path: Path(path).touch())
    render.render_set(tmp_path / "set", Recipe(size=96), 3)
    return tmp_path / "set"


def test_the_command_prints_tables_and_draws_the_figure(folder, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    figure = tmp_path / "figure.svg"
    result = CliRunner().invoke(app, ["stats", str(folder), str(folder), "--plot", str(figure)])
    assert result.exit_code == 0, result.output
    assert "all" in result.stdout.splitlines()[0]
    assert "<svg" in figure.read_text()
    (only,) = json.loads(CliRunner().invoke(app, ["stats", str(folder), "--json"]).stdout)
    assert only["images"] == 3
    assert sum(only["histogram"].values()) == 3 * only["instances_an_image"][0]


def test_coco_says_the_same_as_the_lines(folder):
    coco = json.loads((folder / "instances.json").read_text())
    lines = [json.loads(line) for line in (folder / "scenes.jsonl").read_text().splitlines()]
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert len(names) == 51
    things = [(line["index"], thing) for line in lines for thing in line["objects"]]
    assert len(coco["annotations"]) == len(things)
    for found, (index, thing) in zip(coco["annotations"], things, strict=True):
        x, y, width, height = found["bbox"]
        assert [x, y, x + width, y + height] == thing["box_px"]
        assert (found["image_id"], names[found["category_id"]]) == (index, thing["class"])
        assert found["area"] == thing["visible_px"] <= width * height
