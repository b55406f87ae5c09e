import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import COLORS
from item_heads import color_items
from item_photos import item, write_photo
from PIL import Image
from typer.testing import CliRunner

from finesight.cli.app import app
from finesight.errors import DataError, InputError
from finesight.research.datasets import read_items
from finesight.research.evaluation.item_retrieval import METHODS, evaluate_items, format_items
from finesight.research.table import to_json

SIZE = (160, 160)


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--protocol", "items"])


LEFT, RIGHT = (0, 0, 80, 80), (80, 80, 160, 160)


def spots(folder, name, source, pair, things, **levels):
    """A photo with a square of a colour in some of its quarters; things: style, colour, box."""
    items = [item(style, box, color, **levels) for style, color, box in things]
    write_photo(folder, name, source, pair, items, SIZE)
    picture = Image.new("RGB", SIZE, (128, 128, 128))
    for _, color, box in things:
        picture.paste(COLORS[color], box)
    picture.save(folder / "image" / f"{name}.jpg", quality=95)


@pytest.fixture
def folder(tmp_path):
    """Red, green and blue things, each in one shop photo; users' photos show two at a time."""
    made = tmp_path / "set"
    for style, color in enumerate(COLORS, 1):
        spots(made, f"shop-{color}", "shop", 1, [(style, color, RIGHT)])
    spots(made, "user-1", "user", 1, [(1, "red", LEFT), (2, "green", RIGHT)], occlusion=1)
    spots(made, "user-2", "user", 1, [(3, "blue", LEFT), (0, "red", RIGHT)], occlusion=3)
    return made


def by_method(rows, subset="all", embedding="encoder"):
    return {r.method: r for r in rows if (r.subset, r.embedding) == (subset, embedding)}


def test_boxes_and_regions_find_what_whole_photos_do_not(folder, color_model):
    items = read_items(folder)
    rows = evaluate_items(items, color_model, "cc5")  # a quarter of the image is one of its windows
    found = by_method(rows)
    assert set(found) == set(METHODS)
    for method in set(METHODS) - {"photos"}:
        assert found[method].metrics["mAP"] == 1 and found[method].detected == 1, method
    assert found["photos"].metrics["mAP"] < 1  # of two things, one whole
    assert found["photos"].metrics["top-5"] == 1
    heavy = by_method(rows, "occlusion heavy")
    assert heavy["boxes"].queries == 1
    assert by_method(rows, "occlusion medium") == {}
    assert json.loads(to_json([row.plain() for row in rows]))
    assert "3 items in users' photos, 3 in the shop's" in format_items(items, rows)


def test_what_is_not_detected_is_a_miss(folder, color_model):
    """Proposer at whole photos alone detects no quarter of one."""
    found = by_method(evaluate_items(read_items(folder), color_model, "full"))
    assert found["boxes"].metrics["mAP"] == 1
    for method in ("detected", "detected-regions"):
        assert found[method].detected == 0
        assert set(found[method].metrics.values()) == {0}


def test_a_head_is_measured_beside_the_encoder(folder, color_model, tmp_path):
    model = replace(color_model, item_head=color_items(tmp_path / "bundle"))
    rows = evaluate_items(read_items(folder), model, "cc5")
    assert {row.embedding for row in rows} == {"encoder", "items"}
    assert by_method(rows, embedding="items")["boxes"].metrics["top-1"] == 1


def test_queries_without_a_shop_photo_are_refused_or_left_out(folder, color_model):
    spots(folder, "user-3", "user", 7, [(1, "red", LEFT)])
    with pytest.raises(InputError, match=r"1 items .* \(7, 1\) in image/user-3.jpg.*matched-only"):
        evaluate_items(read_items(folder), color_model, "cc5")
    assert by_method(evaluate_items(read_items(folder).matched(), color_model, "cc5"))
    result = run(folder, "--model", "none")  # refused before a model is loaded
    with pytest.raises(InputError, match="no shop photo"):
        raise result.exception


def test_problems_of_a_set_are_printed(folder):
    for number in range(7):
        (folder / "annos" / f"broken-{number}.json").write_text("{")
    result = run(folder, "--model", "mini", "--regions", "full", "--json")
    assert "broken-0.json" in result.stderr and "left out: 2 more photos or items" in result.stderr
    assert "no item head" in result.stderr
    rows = json.loads(result.stdout)
    assert {row["method"] for row in rows} == set(METHODS)
    assert all(0 <= row["mAP"] <= 1 for row in rows)


def test_a_photo_that_changed_since_it_was_read_is_refused(folder, color_model):
    items = read_items(folder)
    Image.new("RGB", (50, 50)).save(folder / "image" / "user-1.jpg")
    with pytest.raises(DataError, match="50 × 50 pixels and its annotation says 160 × 160"):
        evaluate_items(items, color_model, "cc5")


def test_a_set_of_shop_photos_alone_is_refused(folder, color_model):
    for path in (folder / "annos").glob("user-*"):
        path.unlink()
    with pytest.raises(InputError, match="no item in a user's photo"):
        evaluate_items(read_items(folder), color_model)


def test_many_queries_are_as_few(folder, color_model, monkeypatch):
    items = read_items(folder)
    whole = by_method(evaluate_items(items, color_model, "cc5"))
    monkeypatch.setattr("finesight.research.evaluation.item_retrieval._AT_ONCE", 2)
    parts = by_method(evaluate_items(items, color_model, "cc5"))
    assert {m: row.metrics for m, row in whole.items()} == {
        m: row.metrics for m, row in parts.items()
    }
    assert np.isfinite([row.detected for row in parts.values()]).all()
