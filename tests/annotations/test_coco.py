import math

import pytest

from finesight.annotations.coco import parse_coco
from finesight.annotations.json_files import MALFORMED

IMAGE = {"id": "7", "file_name": ".\\a\\x.jpg", "width": 20, "height": 10}


def annotation(**entry):
    (found,) = parse_coco([{"image_id": 7, **entry}]).annotations[7]
    return found


def test_instances_captions_and_results_are_one_format():
    coco = parse_coco(
        {
            "images": [IMAGE],
            "categories": [{"id": 1, "name": "mug"}],
            "annotations": [
                {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 9},
                {"image_id": "7", "caption": " A mug.\n"},
            ],
        },
        needs=["images", "annotations", "categories"],
    )
    (image,) = coco.images
    assert (image.id, image.names, image.size, image.absent) == (7, ("a/x.jpg",), (20, 10), None)
    mug, caption = coco.annotations[7]
    assert (mug.category, mug.box_px, mug.score, mug.area) == ("mug", (1, 2, 4, 6), 1.0, 9)
    assert (caption.caption, caption.box_px, caption.category) == ("A mug.", None, None)
    assert parse_coco([]).images is None
    assert annotation(bbox=[0, 0, 1, 1], score=0.25).score == 0.25


def test_lvis_names_an_image_by_its_url_first():
    url = "http://images.cocodataset.org/val2017/1.jpg"
    entry = {**IMAGE, "coco_url": url, "neg_category_ids": [2, 3]}
    coco = parse_coco({"images": [entry], "categories": [{"id": 2, "name": "bow"}]})
    assert coco.images[0].names == ("val2017/1.jpg", "a/x.jpg")
    assert coco.images[0].absent == {"bow"}


@pytest.mark.parametrize(
    "bbox", [None, 3, [1, 2, 3], ["a", 1, 2, 3], [None, 1, 2, 3], [10**400, 1, 2, 3], "1234"]
)
def test_what_is_no_box_is_none(bbox):
    assert annotation(bbox=bbox).box_px is None


def test_numbers_are_checked():
    assert math.isnan(annotation(bbox=[math.nan, 0, 1, 1]).box_px[0])
    assert annotation(score="high").score is None
    assert annotation(area=None).area is None
    for width in (0, -3, None, "wide", math.nan, math.inf, 10**400):
        coco = parse_coco({"images": [{**IMAGE, "width": width}]})
        assert coco.images[0].size is None


@pytest.mark.parametrize(
    "content", [3, None, {}, {"images": 3}, {"images": [{}]}, {"images": [{"id": 1}]}, [{}], [3]]
)
def test_other_content_is_malformed(content):
    with pytest.raises(MALFORMED):
        parse_coco(content, needs=["images"] if isinstance(content, dict) else [])
