import json
from pathlib import Path

import pytest

from finesight.research.scenes import render
from finesight.research.scenes.identities import STYLES, USERS, deepfashion2
from finesight.research.scenes.sampling import Recipe

RECIPE = Recipe("identities", size=128, look="textured")


@pytest.fixture(scope="module")
def records():
    """Two pairs: every image's record."""
    return [render.prepare(RECIPE, i)[0] for i in range(2 * STYLES * (1 + USERS))]


def test_a_pair_is_a_shape_and_a_style_its_colour_and_material(records):
    pairs = {}
    for record in records:
        own = record["objects"][0]
        item = record["item"]
        shape = pairs.setdefault(item["pair_id"], (own["class"], own["instance"]))
        assert shape == (own["class"], own["instance"])
    assert len(pairs) == 2
    looks = {(r["item"]["pair_id"], r["item"]["style"]): set() for r in records}
    for record in records:
        own = record["objects"][0]
        looks[record["item"]["pair_id"], record["item"]["style"]].add(
            (own["color"], own["material"])
        )
    assert all(len(found) == 1 for found in looks.values())
    assert looks[1, 1] != looks[1, 2]


def test_shop_images_show_the_item_alone_large_and_whole(records):
    shops = [r for r in records if r["item"]["source"] == "shop"]
    assert len(shops) == 2 * STYLES
    for record in shops:
        assert len(record["objects"]) == 1
        assert record["objects"][0]["hidden"] == record["objects"][0]["cut"] == 0
        x0, y0, x1, y1 = record["objects"][0]["box_px"]
        assert max(x1 - x0, y1 - y0) > 0.6 * 128
        assert abs(x0 + x1 - 128) < 0.2 * 128


def test_levels_say_what_is_seen(records):
    for record in records:
        own = record["objects"][0]
        item = deepfashion2(record, RECIPE.shapes.classes)["item1"]
        share = own["visible_px"] / 128**2
        assert item["scale"] == (1 if share < 0.02 else 2 if share < 0.1 else 3)
        assert item["occlusion"] == (1 if own["hidden"] < 0.2 else 2 if own["hidden"] < 0.5 else 3)
        assert item["zoom_in"] == (1 if own["cut"] < 0.08 else 2 if own["cut"] < 0.3 else 3)
    users = [deepfashion2(r, RECIPE.shapes.classes)["item1"] for r in records]
    assert len({item["occlusion"] for item in users}) > 1
    assert len({item["zoom_in"] for item in users}) > 1


def test_annotations_are_deepfashion2s(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "find_blender", lambda: lambda job, path: Path(path).touch())
    render.render_set(tmp_path, RECIPE, 3)
    found = json.loads((tmp_path / "annos" / "000001.json").read_text())
    assert (found["source"], found["pair_id"]) == ("user", 1)
    assert found["item1"]["style"] == 1
    assert all(found[f"item{i}"]["style"] == 0 for i in range(2, len(found) - 1))
    assert (
        found["item1"]["category_name"] == RECIPE.shapes.classes[found["item1"]["category_id"] - 1]
    )
