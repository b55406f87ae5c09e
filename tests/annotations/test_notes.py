import json
from pathlib import Path

import pytest

from finesight.annotations.notes import Note, Notes, is_annotation, note_of_sidecars
from finesight.errors import DataError

LVIS = {
    "images": [
        {"id": 1, "coco_url": "http://images.cocodataset.org/val2017/1.jpg", "license": 3},
        {"id": 2, "coco_url": "http://x.org/val2017/2.jpg", "file_name": "COCO_val2014_2.jpg"},
    ],
    "categories": [{"id": 5, "name": "bow_(weapon)"}],
    "annotations": [
        {"image_id": 1, "category_id": 5, "bbox": None},
        {"image_id": 2, "caption": "One.", "id": 1},
        {"image_id": 2, "caption": "Two.", "id": 2},
    ],
}


def read(path, content):
    path.write_text(content)
    notes = Notes()
    notes.read(path)
    return notes


def test_lvis_is_read_though_it_names_images_by_url(tmp_path):
    notes = read(tmp_path / "lvis_v1_val.json", json.dumps(LVIS))
    assert notes.of(tmp_path / "images/val2017/1.jpg").metadata["categories"] == ["bow_(weapon)"]
    for name in ("val2017/2.jpg", "COCO_val2014_2.jpg"):
        assert notes.of(tmp_path / name).caption == "One.\nTwo."
    assert notes.of(tmp_path / "3.jpg") == Note()


def test_a_caption_may_hold_the_rarer_line_separators(tmp_path):
    row = json.dumps({"file_name": "a.jpg", "text": "one\u2028two"}, ensure_ascii=False)
    notes = read(tmp_path / "metadata.jsonl", f"{row}\r\n")
    assert notes.of(tmp_path / "a.jpg").caption == "one\u2028two"


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "[]", '[{"image_id": 1}]', "3", "{}"])
def test_damage_is_one_error(tmp_path, content):
    with pytest.raises(DataError, match=r"damaged, or not of a known kind: \w+Error\("):
        read(tmp_path / "a.json", content)
    assert note_of_sidecars({"json": content.encode(), "txt": b"words"}) == Note("words", {})


def test_which_files_are_annotations():
    assert is_annotation(Path("coco/annotations/captions_val2017.json"))
    assert is_annotation(Path("pictures/metadata.csv"))
    assert not is_annotation(Path("coco/annotations/person_keypoints.json"))
    assert is_annotation(Path("boxes.JSON"), named=True)
