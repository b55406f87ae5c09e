"""Searching for the very thing over HTTP."""

from dataclasses import replace

import pytest
from item_heads import color_items

from finesight.client import Client
from finesight.errors import InputError

BOX = [120 / 200, 100 / 160, 144 / 200, 124 / 160]


@pytest.fixture
def color_model(color_model, tmp_path):
    return replace(color_model, item_head=color_items(tmp_path / "bundle"))


def test_a_box_of_an_image_finds_the_very_thing(served, collection):
    asked = next(i["id"] for i in served.ask("/images").json()["images"] if "l/red" in i["path"])
    found = served.search(parts=[{"image": asked, "box": BOX}], item=True, k=6)["hits"]
    assert sorted(hit["path"] for hit in found[:2]) == ["large/red 'quoted'.png", "small/red.png"]
    near = served.search(parts=[{"image": asked}], item=True, k=6)["hits"]
    assert asked not in {hit["id"] for hit in near}
    assert Client(served.url).search(near=asked, box=tuple(BOX), k=1, item=True)[0].score > 0.99


def test_status_says_so_once_the_model_is_there(served):
    served.search(text="red")
    assert served.ask("/status").json()["items"] is True


def test_what_does_not_show_one_thing_is_a_problem(served):
    for asked in ({"text": "red"}, {"parts": [{"text": "red"}, {"text": "blue"}]}):
        answer = served.ask("/search", {**asked, "item": True})
        assert answer.status == 422
        assert "give one photo of it" in answer.json()["detail"]


class TestWithoutHead:
    @pytest.fixture
    def color_model(self, color_model):
        return replace(color_model, item_head=None)

    def test_it_says_which_command_makes_one(self, served, spots):
        served.search(text="red")
        assert served.ask("/status").json()["items"] is False
        with pytest.raises(InputError, match="finesight train items"):
            Client(served.url).search(spots / "small" / "red.png", item=True)
