import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finesight.boxes import ScoredBoxes, square_around
from finesight.collection import Collection
from finesight.encoders.capabilities import NO_MODEL
from finesight.errors import DataError, InputError
from finesight.images.open import ImageError, Picture
from finesight.proposals import parse_proposer, resolve_effort
from finesight.proposals.detector import DetectorSpec, build_detector, keep, load_detector
from finesight.proposals.tiles import encode_tiles
from finesight.research.datasets import clevr_ds

IMAGES = [
    {"id": 139, "file_name": "000000000139.jpg", "width": 200, "height": 100},
    {"id": 285, "file_name": "000000000285.jpg", "width": 200, "height": 100},
]
RESULTS = [
    {"image_id": 139, "category_id": 3, "bbox": [20, 10, 100, 50], "score": 0.9},
    {"image_id": 139, "category_id": 3, "bbox": [22, 10, 100, 50], "score": 0.8},
    {"image_id": 139, "category_id": 9, "bbox": [180, 80, 10, 10], "score": 0.3},
]


@pytest.fixture(autouse=True)
def forget_files():
    load_detector.cache_clear()


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def picture(path, size=(200, 100)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


def boxes_of(name, path, size=(200, 100)):
    """The windows of an image file, without the whole image."""
    windows = parse_proposer(name).windows(Picture(Image.new("RGB", size), path=path))
    assert windows[0].tolist() == [0, 0, 1, 1]
    return windows[1:]


def test_a_results_file_knows_images_by_the_number_in_their_names(tmp_path):
    results = write(tmp_path / "results.json", RESULTS)
    found = boxes_of(f"detect:{results}", tmp_path / "COCO_val2014_000000000139.jpg")
    expected = [(0.1, 0.1, 0.6, 0.6), (0.9, 0.8, 0.95, 0.9)]  # the second is much like the first
    assert found == pytest.approx(np.array([square_around(b, 200, 100) for b in expected]))
    assert len(boxes_of(f"detect:{results}", tmp_path / "000000000285.jpg")) == 0
    with pytest.raises(ImageError, match=r"no number at the end of its name.*images=FILE"):
        boxes_of(f"detect:{results}", tmp_path / "holiday.jpg")


@pytest.mark.parametrize(
    ("options", "count"),
    [("", 2), (",overlap=1", 3), (",score=0.5", 1), (",area=0.01", 1), (",most=1", 1)],
)
def test_filters(tmp_path, options, count):
    results = write(tmp_path / "results.json", RESULTS)
    assert len(boxes_of(f"detect:{results}{options}", tmp_path / "139.jpg")) == count


def test_true_boxes_have_no_score_and_belong_to_named_images(tmp_path):
    things = [{"image_id": 285, "bbox": [0, 0, 20, 10], "category_id": 1}]
    path = write(tmp_path / "instances.json", {"images": IMAGES, "annotations": things})
    assert len(boxes_of(f"detect:{path}", tmp_path / "val2017/000000000285.jpg")) == 1
    assert len(boxes_of(f"detect:{path}", tmp_path / "val2017/000000000139.jpg")) == 0
    with pytest.raises(ImageError, match=r"not among the 2 images of .*instances\.json"):
        boxes_of(f"detect:{path}", tmp_path / "000000000140.jpg")


def test_results_with_the_names_of_their_images(tmp_path):
    names = write(
        tmp_path / "instances.json",
        {"images": [{"id": 139, "file_name": "b/x.jpg", "width": 400, "height": 200}]},
    )
    results = write(tmp_path / "results.json", RESULTS)
    name = f"detect:{results},images={names}"
    # Annotated at twice the size: shares are what counts.
    assert boxes_of(name, tmp_path / "b/x.jpg")[0] == pytest.approx(
        square_around((0.05, 0.05, 0.3, 0.3), 200, 100)
    )
    with pytest.raises(ImageError, match="not among the 1 images"):
        boxes_of(name, tmp_path / "b/y.jpg")


def test_true_boxes_of_rendered_scenes_are_those_that_were_annotated():
    sample = Path(__file__).parents[2] / "data/sample"
    proposer = parse_proposer(f"detect:{sample / 'instances.json'}")
    for scene in clevr_ds.load(sample).images[:40]:
        size = (scene.width, scene.height)
        windows = proposer.windows(Picture(Image.new("RGB", size), path=scene.path))
        expected = [square_around(thing.box, *size) for thing in scene.objects]
        assert windows[1:] == pytest.approx(np.array(expected), abs=1e-5)


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    images = [
        {"id": i, "file_name": f"{folder}/x.jpg", "width": 100, "height": 100}
        for i, folder in enumerate("ab")
    ]
    things = [{"image_id": 1, "bbox": [0, 0, 50, 50]}]
    path = write(tmp_path / "boxes.json", {"images": images, "annotations": things})
    assert len(boxes_of(f"detect:{path}", tmp_path / "a/x.jpg", (100, 100))) == 0
    assert len(boxes_of(f"detect:{path}", tmp_path / "b/x.jpg", (100, 100))) == 1
    with pytest.raises(ImageError, match="not among"):
        boxes_of(f"detect:{path}", tmp_path / "c/x.jpg")


def test_lvis_names_images_by_url(tmp_path):
    url = "http://images.cocodataset.org/val2017/000000000139.jpg"
    image = {"id": 139, "width": 100, "height": 100, "coco_url": url}
    image["file_name"] = "COCO_val2014_000000000139.jpg"
    things = [{"image_id": 139, "bbox": [0, 0, 50, 50]}]
    path = write(tmp_path / "lvis.json", {"images": [image], "annotations": things})
    for name in ("val2017/000000000139.jpg", "here/COCO_val2014_000000000139.jpg"):
        assert len(boxes_of(f"detect:{path}", tmp_path / name, (100, 100))) == 1


def test_a_tile_of_a_large_image_has_the_boxes_that_lie_in_it(tmp_path, color_model):
    things = [{"image_id": 1, "bbox": [310, 20, 20, 20]}, {"image_id": 1, "bbox": [0, 0, 400, 9]}]
    image = [{"id": 1, "file_name": "wide.png", "width": 400, "height": 100}]
    path = write(tmp_path / "boxes.json", {"images": image, "annotations": things})
    proposer = parse_proposer(f"detect:{path}")
    tile = Picture(Image.new("RGB", (200, 100)), path=tmp_path / "wide.png", box=(0.5, 0, 1, 1))
    (found,) = proposer.windows(tile)[1:]
    assert found == pytest.approx(square_around((0.55, 0.2, 0.65, 0.4), 200, 100))
    seen, _ = encode_tiles(
        lambda box: Image.new("RGB", (box[2] - box[0], box[3] - box[1])),
        (400, 100),
        color_model.encoder,
        proposer,
        tmp_path / "wide.png",
    )
    assert len(seen.boxes) >= 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"images": []}', "holds no boxes"),
        ('[{"bbox": [1, 2, 3, 4]}]', "holds no boxes"),
        ('[{"image_id": 1, "bbox": [1, 2, 3]}]', "holds no boxes"),
        (json.dumps([{"image_id": 1, "bbox": [10**400, 1, 2, 3]}]), "holds no boxes.*of image 1"),
        ("[", "is not JSON"),
        ("[" * 100_000, "is not JSON .*nested too deeply"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, says):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=says):
        parse_proposer(f"detect:{tmp_path / 'a.json'}")


@pytest.mark.parametrize(
    "name",
    ["detect:", "detect:x,score=2", "detect:x,most=0", "detect:x,area=small", "detect:x,most=1.5"],
)
def test_names_that_make_no_sense_are_refused(name):
    with pytest.raises(InputError, match="detect:"):
        build_detector(name, NO_MODEL)


def test_a_name_holds_in_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "boxes,v2.json", RESULTS)
    name = resolve_effort("detect:boxes,v2.json,area=0.010,words=red mug|car")
    assert name == f"detect:{tmp_path}/boxes,v2.json,area=0.01,words=red mug|car"
    assert DetectorSpec.parse(name).words == ("red mug", "car")
    assert resolve_effort(name) == name
    assert resolve_effort("detect:google/owlv2") == "detect:google/owlv2"
    with pytest.raises(InputError, match="no words are looked for"):
        parse_proposer(name)


def slow_keep(boxes, scores, spec):
    """The same by the book: sort, filter, and drop what overlaps a better one."""

    def overlap(a, b):
        low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
        shared = np.clip(high - low, 0, None).prod()
        return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)

    kept = []
    for i in np.argsort(-scores, kind="stable"):
        area = (boxes[i, 2:] - boxes[i, :2]).prod()
        if area <= spec.area or scores[i] < spec.score or len(kept) == spec.most:
            continue
        if all(overlap(boxes[i], boxes[j]) <= spec.overlap for j in kept):
            kept.append(i)
    return boxes[kept]


@pytest.mark.parametrize("seed", range(5))
def test_keeping_is_by_the_book_in_any_order(seed):
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((80, 2, 2)), axis=1)
    boxes = np.concatenate([corners[:, 0], corners[:, 1]], axis=1).astype(np.float32)
    scores = rng.random(80).astype(np.float32)
    spec = DetectorSpec("x", score=0.2, area=0.02, overlap=0.4, most=12)
    found = keep(ScoredBoxes(boxes, scores), spec, 0, 0.5)
    assert found == pytest.approx(slow_keep(boxes, scores, spec))
    order = rng.permutation(80)
    assert np.array_equal(keep(ScoredBoxes(boxes[order], scores[order]), spec, 0, 0.5), found)


def test_boxes_without_a_size_and_scores_that_are_no_numbers_are_dropped():
    boxes = np.float32([[0.5, 0, 0.5, 1], [0.6, 0, 0.4, 1], [0, 0, np.nan, 1], [0, 0, 1, 1]])
    assert (
        len(keep(ScoredBoxes(boxes, np.float32([1, 1, 1, np.nan])), DetectorSpec("x"), 0, 0.5)) == 0
    )
    assert len(keep(ScoredBoxes(boxes, np.float32([1, 1, 1, 0])), DetectorSpec("x"), 0, 0.5)) == 1


def test_a_collection_is_indexed_by_the_boxes_of_a_file(tmp_path, color_model, folder):
    """Each image has one spot, whose box the file names; one image is missing from it."""
    names = sorted(path.name for path in folder.iterdir())
    images = [
        {"id": i, "file_name": name, "width": 200, "height": 160} for i, name in enumerate(names)
    ]
    things = [{"image_id": i, "bbox": [120, 100, 24, 24]} for i in range(3)]
    boxes = write(tmp_path / "boxes.json", {"images": images[:2], "annotations": things[:2]})
    store = Collection.open(tmp_path / "store", color_model)
    report = store.add([folder], f"detect:{boxes}")
    assert report.indexed == 2
    (skipped,) = report.skipped
    assert "not among the 2 images" in skipped.reason
    hit = store.search("blue")[0]
    assert hit.path.name == "blue.png"
    assert hit.box == pytest.approx(square_around((0.6, 0.625, 0.72, 0.775), 200, 160), abs=1e-2)
    assert store.add([folder]).unchanged == 2  # it goes on by the same file


def test_without_pytorch_the_error_says_what_to_do(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "owlv2"}')
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from finesight.errors import MissingDependencyError\n"
        "from finesight.proposals.registry import parse_proposer\n"
        "try:\n"
        f"    parse_proposer('detect:{tmp_path}')\n"
        "except MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'finesight[torch]'" in done.stdout, done.stderr
    assert "finesight export" in done.stdout
