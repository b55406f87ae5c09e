import json

import pytest

from finesight.errors import DataError, InputError
from finesight.research.datasets.clevr_ds import load

HEAD = {"format": "finesight-scenes", "version": 2, "classes": ["mug"], "colors": ["red"]}
HEAD |= {"never_named": ["mug"]}
THING = {"class": "mug", "color": "red", "instance": 83, "box_px": [20, 10, 60, 40]}
THING |= {"material": "metal", "hidden": 0.25, "size": "medium", "role": "distractor"}
IMAGE = {"file": "images/000007.jpg", "index": 7, "width": 200, "height": 100}
IMAGE |= {"relations": {"left": [[]], "right": [[]]}}


def write(folder, head=HEAD, things=({**THING, "visible_px": 600},)):
    (folder / "dataset.json").write_text(json.dumps(head))
    line = json.dumps({**IMAGE, "objects": list(things)})
    (folder / "scenes.jsonl").write_text(line + "\n")
    return folder


def test_boxes_and_areas_are_shares_of_the_image(tmp_path):
    scenes = load(write(tmp_path))
    assert (scenes.classes, scenes.colors) == (("mug",), ("red",))
    assert scenes.never_named == ("mug",)
    (image,) = scenes.images
    assert (image.path, image.width, image.height) == (tmp_path / IMAGE["file"], 200, 100)
    (thing,) = image.objects
    assert (thing.class_name, thing.color, thing.instance) == ("mug", "red", 83)
    assert thing.box == pytest.approx((0.1, 0.1, 0.3, 0.4))
    assert thing.share == pytest.approx(0.03)
    assert (thing.material, thing.size, thing.role) == ("metal", "medium", "distractor")
    assert thing.hidden == 0.25
    assert image.index == 7
    assert image.relations == {"left": ((),), "right": ((),)}
    assert thing.cell is None


def test_cells_of_sheets_are_read(tmp_path):
    thing = {**THING, "visible_px": 600, "cell_px": [0, 0, 100, 50]}
    (image,) = load(write(tmp_path, things=[thing])).images
    assert image.objects[0].cell == pytest.approx((0, 0, 0.5, 0.5))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({**HEAD, "format": "coco"}, "has format 'coco'"),
        ({**HEAD, "version": 3}, "update finesight"),
        ({**HEAD, "version": 1}, "render it again"),
        ({"format": "finesight-scenes", "version": 2}, "is damaged"),
        ([], "is damaged"),
    ],
)
def test_another_format_is_named(tmp_path, head, message):
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, head))


def test_a_record_without_an_area_names_its_line(tmp_path):
    with pytest.raises(DataError, match="line 1 is damaged"):
        load(write(tmp_path, things=[THING]))


def test_a_folder_without_a_set_says_what_makes_one(tmp_path):
    with pytest.raises(InputError, match="finesight render"):
        load(tmp_path / "nowhere")
