import json

import pytest
from PIL import Image

from finesight.errors import DataError, InputError
from finesight.research.datasets import is_annotated, read_dataset


@pytest.fixture
def older(tmp_path):
    """The folder that Perception 0.x writes: a dataset folder and RGB folders beside it."""
    (tmp_path / "RGB1").mkdir()
    Image.new("RGB", (400, 200)).save(tmp_path / "RGB1" / "rgb_2.png")
    value = {
        "label_id": 7,
        "label_name": "drink_greentea",
        "instance_id": 12,
        "x": 40.0,
        "y": 20.0,
        "width": 80.0,
        "height": 100.0,
    }
    boxes = {"id": "1", "annotation_definition": "f9f22e05", "values": [value]}
    counts = {"id": "2", "annotation_definition": "51da3c27", "values": [{"count": 3}]}
    capture = {"filename": "RGB1/rgb_2.png", "annotations": [boxes, counts]}
    (tmp_path / "Dataset1").mkdir()
    (tmp_path / "Dataset1" / "captures_000.json").write_text(
        json.dumps({"version": "0.0.1", "captures": [capture]})
    )
    return tmp_path


@pytest.fixture
def solo(tmp_path):
    """The folder that Perception 1.0 writes."""
    frame = tmp_path / "sequence.0"
    frame.mkdir()
    Image.new("RGB", (400, 200)).save(frame / "step0.camera.png")
    value = {
        "instanceId": 1,
        "labelId": 7,
        "labelName": "drink_greentea",
        "origin": [40.0, 20.0],
        "dimension": [80.0, 100.0],
    }
    kind = "type.unity.com/unity.solo.BoundingBox2DAnnotation"
    boxes = {"@type": kind, "id": "bounding box", "values": [value]}
    capture = {"filename": "step0.camera.png", "annotations": [boxes]}
    (frame / "step0.frame_data.json").write_text(json.dumps({"frame": 0, "captures": [capture]}))
    return tmp_path


@pytest.mark.parametrize("kind", ["older", "solo"])
def test_both_formats_give_the_same_records(kind, request):
    folder = request.getfixturevalue(kind)
    assert is_annotated(folder)
    found = read_dataset(folder)
    assert found.classes == ("drink_greentea",)
    (image,) = found.images
    assert (image.width, image.height) == (400, 200)
    (thing,) = image.objects
    assert thing.box == pytest.approx((0.1, 0.1, 0.3, 0.6))
    assert thing.share == pytest.approx(0.1)


def test_a_missing_image_and_damage_are_named(solo):
    frame = solo / "sequence.0"
    (frame / "step0.camera.png").rename(frame / "other.png")
    with pytest.raises(InputError, match=r"step0\.camera\.png"):
        read_dataset(solo)
    (frame / "step0.frame_data.json").write_text("{")
    with pytest.raises(DataError, match=r"step0\.frame_data\.json is damaged"):
        read_dataset(solo)


def test_a_folder_without_annotations_is_none_of_them(tmp_path):
    assert not is_annotated(tmp_path)
    with pytest.raises(InputError, match="not a scene set"):
        read_dataset(tmp_path)


def test_a_box_that_is_no_numbers_is_damage(solo):
    path = solo / "sequence.0" / "step0.frame_data.json"
    content = (
        path.read_text().replace("[40.0, 20.0]", '["4", "2"]').replace("80.0, 100.0", '"8", "1"')
    )
    path.write_text(content)
    with pytest.raises(DataError, match=r"step0\.frame_data\.json is damaged or not of Unity"):
        read_dataset(solo)
