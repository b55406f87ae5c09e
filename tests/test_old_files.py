"""Files that finesight wrote before its refactoring stay readable: tests/fixtures/README.md."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finesight import Collection, FinesightError, Part, Query, load_model

FIXTURES = Path(__file__).parent / "fixtures"
BUNDLE = FIXTURES / "bundle_all_parts"
TEXTS = ["a red mug", "the blue car beside a chair", "car", "a photo of the unknown thing"]
QUERIES = ["green mug", "a purple camera", "knife"]
RANKINGS = ("regions", "exact", "fused", "whole", "mean")
TOLERANCE = 1e-3  # collections keep float16
DETAILS = {"pixels", "taken", "camera", "caption", "metadata"}


def picture(number, side=32):
    """Pixels (side, side, 3) of stripes, curves and squares, without a random number in them."""
    y, x = np.mgrid[:side, :side]
    squares = (x // 8 + y // 8) % 2 * 200 + 9 * number
    channels = [x * (7 + number) + y * 3, x * y + 40 * number, squares]
    return (np.stack(channels, axis=-1) % 256).astype(np.uint8)


def saved_picture(folder):
    path = folder / "picture.png"
    Image.fromarray(picture(3, 128)).save(path)
    return path


def numbers(values):
    return np.round(np.asarray(values, np.float64), 6).tolist()


def scores(collection, *asked, **options):
    """The score of each image, by its name."""
    hits = collection.search(*asked, **options)
    return {hit.path.name: round(hit.score, 6) for hit in hits}


def says_of_itself(model):
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "fusion_name": model.fusion_name,
        "vectors": model.vectors,
        "regions": model.regions,
        "prompt": model.prompt,
        "prompts": list(model.prompts),
        "background": [len(model.background), *model.background],
        "effective_scale": model.effective_scale,
        "matchers": sorted(model.matchers),
        "item_head": model.item_head is not None,
        "fit": model.encoder.preprocessing.fit,
        "width": model.encoder.width,
    }


def embeddings(model):
    return {
        "images": numbers(model.encoder.encode_images(np.stack([picture(n) for n in range(3)]))),
        "texts": numbers(model.encoder.encode_texts(TEXTS)),
    }


def matched(model):
    regions = model.encoder.encode_images(np.stack([picture(n) for n in range(3)]))
    return {name: numbers(model.matcher(name).scores([regions], TEXTS)) for name in model.matchers}


def items(model):
    return numbers(model.item_head(model.encoder.encode_images(picture(0)[None])))


def guesses(model):
    found = model.objects.detect(Image.fromarray(picture(3, 128)), 64)
    return {"boxes": numbers(found.boxes[:12]), "likely": numbers(found.scores)}


def indexed_by_bundle(model, folder):
    """What a new collection keeps of one image, and how it answers, with every part of the model.

    Matchers and items rank what is not the image itself as well: the six photos.
    """
    collection = Collection.open(folder / "by-bundle", model)
    path = saved_picture(folder)
    collection.add([path])
    collection.add([FIXTURES / "photos"])
    row = next(
        row
        for row in collection.read(["path", "boxes", "regions", "fused"]).read_all().to_pylist()
        if row["path"].endswith(path.name)
    )
    asked = Query((Part(image=path, box=(0.1, 0.1, 0.7, 0.7)),))
    return {
        "boxes": numbers(row["boxes"]),
        "regions": numbers(row["regions"]),
        "fused": numbers(row["fused"]),
        "ranked": {by: scores(collection, "red mug", rank_by=by) for by in RANKINGS},
        "reranked": {name: scores(collection, TEXTS[0], rerank=name) for name in model.matchers},
        "items": scores(collection, asked, item=True),
    }


def status(collection):
    found = collection.status()
    return {key: found[key] for key in found if key not in ("collection", "bytes")}


def answers(collection):
    """Hits by ranking and text, best first."""
    return {
        by: {
            text: [
                {
                    "path": str(hit.path),
                    "score": round(hit.score, 6),
                    "box": numbers(hit.box),
                    "relevance": hit.relevance,
                }
                for hit in collection.search(text, 10, by)
            ]
            for text in QUERIES
        }
        for by in RANKINGS
    }


def kept(collection):
    """What is known of the images beside their vectors, by path."""
    columns = ["path", "sha256", "width", "height", "looked", "caption", "metadata", "taken"]
    table = collection.read([*columns, "camera"]).read_all()
    rows = sorted(table.to_pylist(), key=lambda row: row["path"])
    return [{key: str(value) for key, value in row.items()} for row in rows]


def check(found, expected, tolerance=TOLERANCE, place=""):
    """Compare as JSON has it, numbers up to a tolerance; of a relevance, which is steep, 0.02."""
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected), place
        for key, value in expected.items():
            check(found[key], value, 0.02 if key == "relevance" else tolerance, f"{place}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for number, value in enumerate(expected):
            check(found[number], value, tolerance, f"{place}/{number}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=tolerance), place
    else:
        assert found == expected, place


def copied(name, folder):
    return Path(shutil.copytree(FIXTURES / name, folder / name))


@pytest.fixture(scope="module")
def expected():
    return json.loads((FIXTURES / "expected.json").read_text())


@pytest.fixture(scope="module")
def model():
    return load_model(str(BUNDLE))


def test_a_bundle_with_every_part_says_the_same_of_itself(model, expected):
    check(says_of_itself(model), expected["bundle"]["says"])


@pytest.mark.parametrize("part", [embeddings, matched, items, guesses])
def test_each_part_of_a_bundle_computes_what_it_did(model, expected, part):
    check(part(model), expected["bundle"][part.__name__], 1e-4)


def test_images_are_indexed_fused_and_ranked_with_the_parts_of_a_bundle(model, expected, tmp_path):
    check(indexed_by_bundle(model, tmp_path), expected["bundle"]["indexed"])


def test_a_collection_answers_as_it_did(expected, tmp_path):
    collection = Collection.open(copied("collection_v3", tmp_path), "mini")
    check(status(collection), expected["v3"]["status"])
    check(answers(collection), expected["v3"]["answers"])
    check(scores(collection, "purple bookshelf", words=True), expected["v3"]["words"])
    skipped = [[str(each.path), each.reason] for each in collection.skipped()]
    assert skipped == expected["v3"]["skipped"]
    assert kept(collection) == expected["v3"]["kept"]


def test_a_collection_finds_its_model_and_its_relevance(expected, tmp_path):
    collection = Collection.open(copied("collection_v3", tmp_path))
    hits = collection.search("a purple camera", min_relevance=0.5)
    assert [str(hit.path) for hit in hits] == expected["v3"]["relevant"]


def test_moved_photos_keep_the_vectors_of_an_old_collection(expected, tmp_path):
    collection = Collection.open(copied("collection_v3", tmp_path), "mini")
    report = collection.add([copied("photos", tmp_path)])
    assert (report.indexed, report.moved, len(report.skipped)) == (0, 6, 1)
    hits = expected["v3"]["answers"]["regions"]["knife"]
    check(scores(collection, "knife"), {Path(hit["path"]).name: hit["score"] for hit in hits})


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_older_collection_is_searched_as_it_is(expected, tmp_path, version):
    collection = Collection.open(copied(f"collection_{version}", tmp_path), "mini")
    check(status(collection), expected[version]["status"])
    for by in ("regions", "exact", "whole", "mean"):
        check(scores(collection, QUERIES[0], 10, by), expected[version]["ranked"][by])
    if version == "v1":
        with pytest.raises(FinesightError, match="index its images again"):
            collection.search(QUERIES[0], rank_by="fused")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_older_collection_is_brought_up_to_date_by_indexing(expected, tmp_path, version):
    directory = copied(f"collection_{version}", tmp_path)
    report = Collection.open(directory, "mini").add([saved_picture(tmp_path)])
    assert (report.indexed, report.moved) == (1, 0)
    collection = Collection.open(directory)
    check(status(collection), expected[version]["status_then"])
    for by in RANKINGS:
        found, then = scores(collection, QUERIES[0], 10, by), expected[version]["ranked_then"][by]
        assert next(iter(found)) == next(iter(then))
        check(found, then)
    table = collection.read().read_all()
    assert set(table.schema.names) >= {*DETAILS, "fused"}
    old = [row for row in table.to_pylist() if row["path"].startswith("/photos/")]
    assert len(old) == 6
    assert all(len(row["fused"]) == 8 and row["caption"] is None for row in old)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_older_collection_takes_captions_of_moved_photos(expected, tmp_path, version):
    collection = Collection.open(copied(f"collection_{version}", tmp_path), "mini")
    report = collection.add([copied("photos", tmp_path)], vectors=3)
    assert (report.indexed, report.moved) == (0, 6)
    assert [row["caption"] for row in kept(collection)] == [
        row["caption"] for row in expected["v3"]["kept"]
    ]
    check(scores(collection, QUERIES[0], rank_by="fused"), expected[version]["fused_as_3"])


def test_a_collection_that_was_switched_keeps_both_models(model, expected, tmp_path):
    directory = copied("collection_switched", tmp_path)
    collection = Collection.open(directory, model)
    check(status(collection), expected["switched"]["status"])
    for by in RANKINGS:  # those by fused vectors ask in the space of the fusion's own text head
        check(scores(collection, "red mug", rank_by=by), expected["switched"]["ranked"][by])
    with pytest.raises(FinesightError, match="finesight switch"):
        Collection.open(directory, "mini")
    report = collection.switch("mini", without_missing=True)
    assert (report.switched, status(collection)["others"]) == (True, "/models/all-parts")
