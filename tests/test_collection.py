import json
import os
import sys
from datetime import datetime
from pathlib import Path

import filelock
import lance
import pytest
from conftest import ColorEncoder, spotted
from PIL import Image

from finesight.collection import Collection
from finesight.errors import DataError, InputError
from finesight.models import Model
from finesight.search import retrieve
from finesight.store.schema import DETAILS, table_schema


def test_the_small_thing_is_found_with_its_box(folder, tmp_path, color_model):
    collection = Collection.open(tmp_path / "c", color_model)
    report = collection.add([folder])
    assert (report.indexed, report.unchanged, report.skipped) == (3, 0, ())
    for color in ("red", "green", "blue"):
        hits = collection.search(f"a {color} thing", k=2)
        assert [hit.rank for hit in hits] == [1, 2]
        assert hits[0].path.stem == color
        x0, y0, x1, y1 = hits[0].box
        assert x0 <= 132 / 200 <= x1
        assert y0 <= 112 / 160 <= y1
        assert x1 - x0 < 0.5


@pytest.mark.parametrize("rank_by", ["exact", "fused", "whole", "mean"])
def test_other_rankings(folder, tmp_path, color_model, rank_by):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    hits = collection.search("red", k=10, rank_by=rank_by)
    assert hits[0].path.stem == "red"
    assert len(hits) == 3
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


def test_candidates_by_fused_vectors_are_scored_by_their_regions(
    folder, tmp_path, color_model, monkeypatch
):
    for number in range(12):
        spotted(folder / f"faint{number}.png", "red", spot=3)
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder], vectors=2)
    monkeypatch.setattr(retrieve, "_CANDIDATES", 2)
    monkeypatch.setattr(retrieve, "_MORE", 2)
    exact = collection.search("red", k=1, rank_by="exact")
    assert collection.search("red", k=1) == exact
    assert exact[0].path.stem == "red"
    assert exact[0].box != (0, 0, 1, 1)


@pytest.mark.parametrize("version", [1, 2])
def test_images_are_fused_anew_without_being_looked_at(folder, tmp_path, color_model, version):
    """After another k, and for a collection of the version that kept no fused vectors."""
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder], vectors=3)
    settings = json.loads((tmp_path / "c" / "collection.json").read_text())
    assert (settings["version"], settings["fusion"], settings["vectors"]) == (3, "salient", 3)
    lance.dataset(str(tmp_path / "c" / settings["table"])).drop_columns(DETAILS.names)
    if version == 1:
        lance.dataset(str(tmp_path / "c" / settings["table"])).drop_columns(["fused"])
        for key in ("fusion", "vectors"):
            del settings[key]
    (tmp_path / "c" / "collection.json").write_text(json.dumps({**settings, "version": version}))
    encoded = color_model.encoder.encoded
    reopened = Collection.open(tmp_path / "c", color_model)
    assert reopened.search("red", k=1)[0].path.stem == "red"
    if version == 1:
        with pytest.raises(InputError, match="index its images again"):
            reopened.search("red", k=1, rank_by="fused")
    spotted(folder / "new.png", "red", spot=40)
    report = reopened.add([folder], vectors=2)
    assert (report.indexed, report.unchanged) == (1, 3)
    assert color_model.encoder.encoded - encoded == 39  # cc5 of the new image alone
    assert {hit.path.stem for hit in reopened.search("red", 2, "fused")} == {"red", "new"}
    assert reopened.status()["vectors"] == 2
    table = lance.dataset(str(tmp_path / "c" / settings["table"]))
    assert [len(row["fused"]) for row in table.to_table(["fused"]).to_pylist()] == [2, 2, 2, 2]
    assert set(table.schema.names) == set(table_schema(4).names)
    assert reopened.status()["version"] == 3


def test_an_empty_collection_takes_another_number_of_vectors(folder, tmp_path, color_model):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "empty.jpg").touch()
    collection = Collection.open(tmp_path / "c", color_model)
    assert collection.add([tmp_path / "bad"], vectors=3).indexed == 0
    assert collection.add([folder], vectors=2).indexed == 3
    assert collection.search("red", k=1, rank_by="fused")[0].path.stem == "red"


def test_only_new_and_changed_images_are_looked_at_again(folder, tmp_path, color_model):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    encoded = color_model.encoder.encoded
    assert collection.add([folder]).unchanged == 3
    assert color_model.encoder.encoded == encoded
    spotted(folder / "red.png", "blue", spot=30)
    spotted(folder / "new.png", "green", spot=40)
    report = collection.add([folder])
    assert (report.indexed, report.unchanged) == (2, 2)
    assert len(collection) == 4
    assert {hit.path.stem for hit in collection.search("blue", k=2)} == {"blue", "red"}


def test_identical_bytes_are_encoded_once(folder, tmp_path, color_model):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    encoded = color_model.encoder.encoded
    (folder / "copy.png").write_bytes((folder / "red.png").read_bytes())
    assert collection.add([folder]).indexed == 1
    assert color_model.encoder.encoded == encoded
    first, second = collection.search("red", k=2)
    assert {first.path.stem, second.path.stem} == {"red", "copy"}
    assert (first.score, first.box) == (second.score, second.box)


def test_a_later_open_needs_no_model_name(folder, tmp_path, monkeypatch, color_model):
    Collection.open(tmp_path / "c", color_model).add([folder])
    monkeypatch.setattr("finesight.search.reader.load_model", lambda source: color_model)
    assert Collection.open(tmp_path / "c").search("red", k=1)[0].path.stem == "red"


def test_bad_files_are_skipped_with_their_reason(folder, tmp_path, color_model):
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("no image")
    (folder / "half.png").write_bytes((folder / "red.png").read_bytes()[:80])
    (folder / "ünï 图像 🖼.png").write_bytes((folder / "blue.png").read_bytes())
    collection = Collection.open(tmp_path / "c", color_model)
    report = collection.add([folder])
    assert report.indexed == 4
    assert {skipped.path.name for skipped in report.skipped} == {
        "empty.jpg",
        "text.png",
        "half.png",
    }
    assert all(skipped.reason for skipped in report.skipped)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows such names")
def test_a_name_that_is_not_unicode_is_skipped(folder, tmp_path, color_model):
    with open(os.path.join(os.fsencode(folder), b"\xff\xfe.png"), "wb") as file:  # noqa: PTH118, PTH123
        file.write((folder / "red.png").read_bytes())
    report = Collection.open(tmp_path / "c", color_model).add([folder])
    assert report.indexed == 3
    assert "UTF-8" in report.skipped[0].reason


def test_links_in_circles(folder, tmp_path, color_model):
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "nowhere.png").symlink_to(folder / "missing.png")
    (folder / "again.png").symlink_to(folder / "red.png")
    report = Collection.open(tmp_path / "c", color_model).add([folder])
    assert report.indexed == 3
    assert {item.path.name for item in report.skipped} == {"self.png", "nowhere.png"}


def test_a_folder_inside_that_cannot_be_read_is_reported(
    folder, tmp_path, color_model, monkeypatch
):
    (folder / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):  # permissions do not bind the root user, who may run these tests
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = Collection.open(tmp_path / "c", color_model).add([folder])
    assert report.indexed == 3
    assert [(s.path.name, s.reason) for s in report.skipped] == [
        ("locked", "cannot be read: Permission denied")
    ]


def test_missing_and_empty_folders(tmp_path, color_model):
    collection = Collection.open(tmp_path / "c", color_model)
    with pytest.raises(InputError, match="does not exist"):
        collection.add([tmp_path / "missing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image files"):
        collection.add([tmp_path / "empty"])
    assert not collection.exists


def test_a_place_that_cannot_be_written(folder, tmp_path, color_model):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        Collection.open(tmp_path / "file", color_model)
    with pytest.raises(InputError, match="cannot write"):
        Collection.open(tmp_path / "file" / "c", color_model).add([folder])


def test_a_second_writer_is_told(folder, tmp_path, color_model):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    with (
        filelock.FileLock(tmp_path / "c" / ".lock"),
        pytest.raises(InputError, match="another run"),
    ):
        collection.add([folder])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": ""}, "empty"),
        ({"query": "  "}, "empty"),
        ({}, "empty"),
        ({"query": "red", "k": 0}, "at least one"),
        ({"query": "red", "offset": -1}, "pass over"),
        ({"query": "red", "rank_by": "best"}, "regions, exact, pooled, global, mean"),
    ],
)
def test_bad_queries(folder, tmp_path, color_model, arguments, message):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    with pytest.raises(InputError, match=message):
        collection.search(**arguments)


def test_searching_what_is_not_there(tmp_path, color_model):
    with pytest.raises(InputError, match="finesight index"):
        Collection.open(tmp_path / "c", color_model).search("red")


def test_another_model_is_refused(folder, tmp_path, color_model):
    Collection.open(tmp_path / "c", color_model).add([folder])
    other = Model("other", "other", ColorEncoder(), "{}", "cc5", "f" * 16)
    with pytest.raises(InputError, match="was made with the model colors"):
        Collection.open(tmp_path / "c", other)


@pytest.mark.parametrize("content", ["", "{", "{}", '{"format": "x", "version": 1}'])
def test_a_damaged_collection(tmp_path, content):
    (tmp_path / "collection.json").write_text(content)
    with pytest.raises(DataError, match=r"damaged|format"):
        Collection.open(tmp_path)


def test_a_newer_collection_is_refused(folder, tmp_path, color_model):
    Collection.open(tmp_path / "c", color_model).add([folder])
    path = tmp_path / "c" / "collection.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(DataError, match="update finesight"):
        Collection.open(tmp_path / "c", color_model)


def test_what_was_indexed_stays_when_a_run_is_interrupted(tmp_path, color_model, monkeypatch):
    for i in range(6):
        spotted(tmp_path / "pictures" / f"{i}.png", "red", spot=10 + i)
    monkeypatch.setattr("finesight.indexing.commit._COMMIT", 2)
    monkeypatch.setattr("finesight.encoders.crops._CROPS", 1)
    collection = Collection.open(tmp_path / "c", color_model)

    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collection.add([tmp_path / "pictures"], progress=interrupt)
    again = Collection.open(tmp_path / "c", color_model)
    assert len(again) == 4
    report = again.add([tmp_path / "pictures"])
    assert (report.indexed, report.unchanged) == (2, 4)


def test_older_collections_learn_dates_from_the_files(tmp_path, color_model):
    exif = Image.Exif()
    exif[0x0132], exif[0x0110] = "2019:07:31 23:59:58", "Camera One"
    path = spotted(tmp_path / "p" / "a.jpg", "red")
    Image.open(path).save(path, exif=exif)
    spotted(tmp_path / "p" / "gone.png", "green")
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([tmp_path / "p"])
    (tmp_path / "p" / "gone.png").unlink()
    manifest = tmp_path / "c" / "collection.json"
    settings = json.loads(manifest.read_text())
    lance.dataset(str(tmp_path / "c" / settings["table"])).drop_columns(DETAILS.names)
    manifest.write_text(json.dumps({**settings, "version": 2}))
    encoded = color_model.encoder.encoded
    reopened = Collection.open(tmp_path / "c", color_model)
    reopened.add([tmp_path / "p"])
    assert color_model.encoder.encoded == encoded
    rows = reopened._folder.table().read(["taken", "camera"]).to_pylist()
    assert {"taken": datetime(2019, 7, 31, 23, 59, 58), "camera": "Camera One"} in rows
    assert {"taken": None, "camera": None} in rows


def test_a_very_large_image_is_looked_at_in_tiles(tmp_path, color_model, monkeypatch):
    monkeypatch.setattr("finesight.proposals.tiles.TILE", 64)
    monkeypatch.setattr("finesight.proposals.tiles.LARGE", 128)
    spotted(tmp_path / "p" / "scan.png", "red", size=(300, 300), spot=4)
    collection = Collection.open(tmp_path / "c", color_model)
    assert collection.add([tmp_path / "p"], "cc5", vectors=2).indexed == 1
    (hit,) = collection.search("red", k=1)
    x0, y0, x1, y1 = hit.box
    assert x0 <= 122 / 300 <= x1
    assert y0 <= 102 / 300 <= y1
    assert x1 - x0 < 0.1  # smaller than any region of the whole image
    row = collection._folder.table().read(["regions", "fused"]).to_pylist()[0]
    assert len(row["regions"]) == 39 * 37
    assert len(row["fused"]) == 2 * 3  # two for each run of 512 regions


def test_a_damaged_large_image_is_skipped(tmp_path, color_model, monkeypatch):
    monkeypatch.setattr("finesight.proposals.tiles.LARGE", 128)
    path = spotted(tmp_path / "p" / "a.png", "red", size=(300, 300))
    (tmp_path / "p" / "b.png").write_bytes(path.read_bytes()[:-90])
    report = Collection.open(tmp_path / "c", color_model).add([tmp_path / "p"])
    assert (report.indexed, [s.path.name for s in report.skipped]) == (1, ["b.png"])


def test_later_runs_look_as_the_last_one_was_told_to(folder, tmp_path, color_model):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder], "cc2")
    collection.add([folder], "cc3")
    again = Collection.open(tmp_path / "c", color_model)
    assert again.status()["regions"] == "cc3"
    report = again.add([folder])
    assert (report.indexed, report.unchanged) == (0, 3)
