import json

import pytest
from item_photos import item, write_photo, write_scenes

from finesight.errors import InputError
from finesight.research.captioning.running import find_jobs

THINGS = [("mug", 1, "red", "matte"), ("car", 2, "blue", "metal")]


def test_photos_of_a_set_or_the_items_in_them(tmp_path):
    write_scenes(tmp_path, [("shop", 1, n, t) for n, t in enumerate(THINGS, 1)])
    jobs, problems = find_jobs(tmp_path)
    assert [job.name for job in jobs] == ["images/000000.jpg", "images/000001.jpg"]
    assert {job.box for job in jobs} == {None} and problems == ()
    of_items, _ = find_jobs(tmp_path, of_items=True)
    assert [job.path for job in of_items] == [job.path for job in jobs]
    assert of_items[0].key == (
        "images/000000.jpg",
        pytest.approx((1 / 12, 1 / 12, 11 / 12, 11 / 12)),
    )


def test_what_is_left_out_of_a_set_is_returned(tmp_path):
    write_photo(tmp_path, "1", "user", 1, [item()])
    write_photo(tmp_path, "2", "user", 1, [item(box=(0, 0, 999, 999))])
    jobs, problems = find_jobs(tmp_path, of_items=True)
    assert [job.name for job in jobs] == ["image/1.jpg"]
    assert "item1: the box 0, 0, 999, 999 is outside its photo" in problems[0]


def test_a_folder_of_images_and_images_named_by_a_file(tmp_path):
    write_scenes(tmp_path / "set", [("shop", 1, 1, THINGS[0])])
    photos = tmp_path / "set" / "images"
    assert [job.name for job in find_jobs(photos)[0]] == ["000000.jpg"]
    coco = tmp_path / "coco.json"
    images = [{"id": 1, "file_name": "000000.jpg", "width": 48, "height": 48}]
    coco.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    assert [job.name for job in find_jobs(coco, photos)[0]] == ["000000.jpg"]


def test_no_such_dataset_and_no_items(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_jobs(tmp_path / "none")
    with pytest.raises(InputError, match="no annotated items"):
        find_jobs(tmp_path, of_items=True)
