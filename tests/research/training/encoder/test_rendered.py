"""Rendered scenes in memory: boxes in pixels, cells, and sets that do not fit."""

import json
import shutil

import pytest

from finesight.errors import DataError
from finesight.research.training.encoder.crops import load_rendered


@pytest.fixture
def folders(toy_scenes, tmp_path):
    """Copies of the toy training and validation folders that a test may change."""
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in toy_scenes]


def change_first(folder, change):
    lines = (folder / "scenes.jsonl").read_text().splitlines()
    record = json.loads(lines[0])
    change(record)
    (folder / "scenes.jsonl").write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")


def test_boxes_are_pixels_and_kinds_are_concepts(folders):
    data = load_rendered(folders[:1], folders[1])
    assert len(data.training) == 24 and len(data.validation) == 6
    record = json.loads((folders[0] / "scenes.jsonl").read_text().splitlines()[0])
    scene = data.training[0]
    for box, kind, thing in zip(scene.boxes, scene.kinds, record["objects"], strict=True):
        assert box.tolist() == pytest.approx(thing["box_px"])
        concept = data.concepts.all[kind[2]]
        assert (concept.class_name, concept.color) == (thing["class"], thing["color"])
    assert scene.limits.tolist() == [[0, 0, 160, 160]] * 2
    assert not scene.sheet


def test_cells_limit_where_crops_reach(folders):
    change_first(folders[0], lambda r: [o.update(cell_px=[0, 0, 80, 160]) for o in r["objects"]])
    scene = load_rendered(folders[:1], folders[1]).training[0]
    assert scene.sheet and scene.limits.tolist() == [[0, 0, 80, 160]] * 2


def test_a_scene_of_nothing_is_kept(folders):
    change_first(folders[0], lambda record: record.update(objects=[]))
    assert load_rendered(folders[:1], folders[1]).training[0].boxes.shape == (0, 4)


def test_validation_of_unknown_classes_is_refused(folders):
    head = json.loads((folders[1] / "dataset.json").read_text())
    head["classes"].append("zebra")
    (folders[1] / "dataset.json").write_text(json.dumps(head))
    with pytest.raises(DataError, match="zebra"):
        load_rendered(folders[:1], folders[1])


def test_an_object_that_the_set_does_not_list_is_refused(folders):
    change_first(folders[0], lambda record: record["objects"][0].update(color="mauve"))
    with pytest.raises(DataError, match="mauve"):
        load_rendered(folders[:1], folders[1])


def test_an_unreadable_image_is_named(folders):
    (folders[0] / "images" / "000003.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"000003\.png cannot be read"):
        load_rendered(folders[:1], folders[1])
