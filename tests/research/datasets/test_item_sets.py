import doctest
import json

import pytest
from item_photos import item, write_photo, write_scenes
from PIL import Image

from finesight.errors import DataError, InputError
from finesight.research.datasets import item_captions, read_items
from finesight.research.datasets.item_captions import template_captions


@pytest.fixture
def shop(tmp_path):
    """Pair 7 with two styles, each sold and photographed; and a photo of something else."""
    folder = tmp_path / "validation"
    write_photo(folder, "000001", "user", 7, [item(1), item(0, (50, 0, 64, 20), "hat")])
    write_photo(folder, "000002", "shop", 7, [item(1, (0, 0, 64, 48)), item(2, (5, 5, 9, 9))])
    write_photo(folder, "000003", "user", 7, [item(2)])
    write_photo(folder, "000004", "user", 8, [item(0)])
    return folder


def test_items_are_the_same_where_pair_and_style_are(shop):
    found = read_items(shop)
    assert found.problems == ()
    assert [view.identity for view in found.views("user")] == [(7, 1), (7, 2)]
    assert [view.identity for view in found.views("shop")] == [(7, 1), (7, 2)]
    first = found.photos[0]
    assert (first.width, first.height, first.source) == (64, 48, "user")
    assert first.things[0].box == (10 / 64, 10 / 48, 40 / 64, 40 / 48)
    assert first.things[0].levels == {"viewpoint": 2, "occlusion": 1, "scale": 2, "zoom_in": 1}
    assert first.things[1].identity is None
    assert found.relative(first) == "image/000001.jpg"
    assert found.unmatched() == [] and found.matched() == found


def test_an_identity_without_a_shop_photo_is_named_and_can_be_left_out(shop):
    write_photo(shop, "000005", "user", 9, [item(1)])
    found = read_items(shop)
    assert [view.identity for view in found.unmatched()] == [(9, 1)]
    assert [view.identity for view in found.matched().views("user")] == [(7, 1), (7, 2)]
    assert len(found.matched().photos) == len(found.photos)  # its photo stays


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((10, 10, 10, 40), "no area"),
        ((40, 10, 10, 40), "no area"),
        ((float("nan"), 10, 20, 40), "no area"),
        ((10, 10, 640, 480), "outside its photo of 64 x 48 pixels"),
        ((-3, 10, 20, 40), "outside its photo"),
    ],
)
def test_a_wrong_box_is_left_out_and_reported(shop, box, reason):
    write_photo(shop, "000006", "user", 7, [item(1, box), item(2)])
    found = read_items(shop)
    (problem,) = found.problems
    assert reason in problem and "000006.json, item1" in problem and "mend it" in problem
    assert [view.identity for view in found.views("user")] == [(7, 1), (7, 2), (7, 2)]


def test_a_box_that_was_rounded_is_cut(shop):
    write_photo(shop, "000006", "shop", 7, [item(1, (-1, 0, 64.5, 48))])
    found = read_items(shop)
    assert found.problems == ()
    assert found.photos[-1].things[0].box == (0, 0, 1, 1)


def test_what_cannot_be_read_is_left_out_and_reported(shop):
    (shop / "annos" / "000001.json").write_text("{")
    (shop / "annos" / "000003.json").write_text(json.dumps({"source": "moon", "pair_id": 1}))
    (shop / "image" / "000004.jpg").unlink()
    (shop / "image" / "000002.jpg").write_bytes(b"no image")
    write_photo(shop, "000005", "user", 9, [{"style": 1}])
    write_photo(shop, "000006", "user", 7, [item(1)])
    found = read_items(shop)
    assert len(found.photos) == 1
    said = "\n".join(found.problems)
    for what in ("000001.json", "source is user or shop", "000004.jpg is not in", "no readable im"):
        assert what in said
    (shop / "annos" / "000006.json").unlink()
    with pytest.raises(DataError, match="no annotation that can be used"):
        read_items(shop)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a folder of DeepFashion2"):
        read_items(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_items(tmp_path / "none")


RED, BLUE = ("mug", 1, "red", "matte"), ("mug", 1, "blue", "matte")
ENTRIES = [
    ("shop", 1, 1, RED),
    ("user", 1, 1, RED),
    ("shop", 1, 2, BLUE),
    ("shop", 2, 1, RED),
    ("user", 2, 2, ("car", 5, "red", "metal")),
]


def test_rendered_items_are_the_same_where_the_thing_is(tmp_path):
    """Two pairs that drew the same thing share its identity."""
    write_scenes(tmp_path / "items", ENTRIES)
    found = read_items(tmp_path / "items")
    assert [view.identity for view in found.views("shop")] == [RED, BLUE, RED]
    assert [view.identity for view in found.unmatched()] == [("car", 5, "red", "metal")]


def test_rendered_photos_of_another_size_are_left_out_and_reported(tmp_path):
    write_scenes(tmp_path / "items", ENTRIES)
    Image.new("RGB", (96, 96)).save(tmp_path / "items" / "images" / "000001.jpg")
    found = read_items(tmp_path / "items")
    assert len(found.photos) == 4
    assert "has 96 x 96 pixels, and scenes.jsonl says 48 x 48" in found.problems[0]
    annotation = tmp_path / "items" / "annos" / "000000.json"
    content = json.loads(annotation.read_text())
    annotation.write_text(json.dumps(content | {"item2": content["item1"]}))
    assert "scenes.jsonl 1 objects" in "".join(read_items(tmp_path / "items").problems)


def test_other_scenes_and_unfinished_ones_are_refused(tmp_path):
    write_scenes(tmp_path / "items", ENTRIES)
    head = json.loads((tmp_path / "items" / "dataset.json").read_text())
    (tmp_path / "items" / "annos").rename(tmp_path / "later")
    with pytest.raises(InputError, match="not finished"):
        read_items(tmp_path / "items")
    (tmp_path / "items" / "dataset.json").write_text(json.dumps(head | {"kind": "scenes"}))
    with pytest.raises(InputError, match="finesight render identities"):
        read_items(tmp_path / "items")


def test_captions_say_what_the_annotations_say(shop):
    found = template_captions(read_items(shop))
    assert found.images == tuple(f"image/00000{i}.jpg" for i in (1, 2, 3, 4))
    assert found.owner.tolist() == [0, 1, 1, 2, 3]  # the hat beside the mug is not asked for
    assert found.captions[0] == (
        "An image of a mug with viewpoint frontal, occlusion level slight, scale modest, and zoom "
        "in none"
    )


def test_captions_of_nothing_are_refused(tmp_path):
    write_photo(tmp_path, "000001", "user", 7, [])
    with pytest.raises(InputError, match="nothing to caption"):
        template_captions(read_items(tmp_path))


def test_its_examples_are_true():
    assert doctest.testmod(item_captions).failed == 0
