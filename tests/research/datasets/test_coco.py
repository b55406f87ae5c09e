import json

import pytest
from PIL import Image

from finesight.errors import DataError, InputError
from finesight.research.datasets import is_annotated, read_dataset

CATEGORIES = [{"id": 3, "name": "car"}, {"id": 44, "name": "wine_bottle"}]


def write(folder, images, annotations, categories=CATEGORIES, name="instances_val2017.json"):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / name).write_text(json.dumps(content))
    return folder / name


def picture(path, size=(200, 100)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


@pytest.fixture
def coco(tmp_path):
    for name in ("000000000139.jpg", "000000000285.jpg"):
        picture(tmp_path / "val2017" / name)
    images = [
        {"id": 285, "file_name": "000000000285.jpg", "width": 200, "height": 100},
        {"id": 139, "file_name": "000000000139.jpg", "width": 200, "height": 100},
    ]
    annotations = [
        {"id": 1, "image_id": 139, "category_id": 3, "bbox": [20, 10, 100, 50], "area": 2000.0},
        {"id": 2, "image_id": 139, "category_id": 44, "bbox": [190, 90, 20, 20], "area": 60.0},
    ]
    return write(tmp_path / "annotations", images, annotations)


def test_coco_instances_are_read_in_the_order_of_their_ids(coco):
    assert is_annotated(coco)
    found = read_dataset(coco)
    assert found.classes == ("car", "wine bottle")
    first, second = found.images
    assert first.path.name == "000000000139.jpg"
    assert second.objects == ()
    car, bottle = first.objects
    assert (car.class_name, car.box, car.share) == ("car", (0.1, 0.1, 0.6, 0.6), 0.1)
    assert bottle.box == (0.95, 0.9, 1.0, 1.0)  # what reaches over the border is cut
    assert first.absent is None


def test_images_may_lie_elsewhere_and_missing_ones_are_named(coco, tmp_path):
    (tmp_path / "val2017").rename(tmp_path / "pictures")
    moved = tmp_path / "pictures"
    other = tmp_path / "elsewhere"
    moved.rename(other)
    assert len(read_dataset(coco, other).images) == 2
    (other / "000000000285.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of the 2 images .* 000000000285.jpg\): .*--images"):
        read_dataset(coco, other)


@pytest.mark.parametrize("version", ["v0.5", "v1"])
def test_lvis_names_images_by_url_and_says_what_is_absent(tmp_path, version):
    picture(tmp_path / "images" / "val2017" / "000000000139.jpg")
    image = {
        "id": 139,
        "width": 200,
        "height": 100,
        "coco_url": "http://images.cocodataset.org/val2017/000000000139.jpg",
        "neg_category_ids": [44],
        "not_exhaustive_category_ids": [],
    }
    if version == "v0.5":
        image["file_name"] = "COCO_val2014_000000000139.jpg"
    categories = [
        {"id": 3, "name": "bow_(weapon)", "synset": "bow.n.04", "frequency": "r"},
        {"id": 44, "name": "wine_bottle", "synset": "wine_bottle.n.01", "frequency": "c"},
    ]
    thing = {"id": 1, "image_id": 139, "category_id": 3, "bbox": [0, 0, 20, 10], "area": 100}
    path = write(tmp_path, [image], [thing], categories, f"lvis_{version}_val.json")
    found = read_dataset(path, tmp_path / "images")
    assert found.classes == ("bow", "wine bottle")
    (read,) = found.images
    assert read.path.name == "000000000139.jpg"
    assert read.absent == {"wine bottle"}
    assert read.objects[0].class_name == "bow"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"images": []}', '{"images": [], "annotations": [], "categories": []}']
)
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json"):
        read_dataset(tmp_path / "a.json")
    with pytest.raises(InputError, match="does not exist"):
        read_dataset(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("where", "change", "says"),
    [
        ("images", {"width": 0}, "image 139 has no width and height"),
        ("annotations", {"bbox": [1, 2, 3]}, "an object of image 139 has no box"),
        ("annotations", {"bbox": [float("nan"), 1, 2, 3]}, "an object of image 139 has no box"),
        ("annotations", {"bbox": [10**400, 1, 2, 3]}, "an object of image 139 has no box"),
        ("annotations", {"category_id": 9}, "or no category"),
    ],
)
def test_numbers_are_checked(coco, where, change, says):
    content = json.loads(coco.read_text())
    content[where][-1] |= change
    coco.write_text(json.dumps(content))
    with pytest.raises(DataError, match=says):
        read_dataset(coco)
