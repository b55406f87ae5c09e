import io
import json
import os
import tarfile
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import spotted
from PIL import Image

from finesight.errors import InputError
from finesight.indexing import commit, encode, sources


def picture(color="red", kind="PNG", spot=24, **options):
    image = Image.new("RGB", (200, 160), (128, 128, 128))
    image.paste(color, (120, 100, 120 + spot, 100 + spot))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path, files):
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_a_moved_folder_is_not_encoded_again(folder, store, color_model, rows):
    store.add([folder])
    before = {Path(p).name: row for p, row in rows(store, "id", "sha256").items()}
    encoded = color_model.encoder.encoded
    moved = folder.rename(folder.with_name("elsewhere"))
    report = store.add([moved])
    assert (report.indexed, report.moved, report.unchanged) == (0, 3, 0)
    assert color_model.encoder.encoded == encoded
    after = rows(store, "id", "sha256")
    assert {Path(path).parent for path in after} == {moved.resolve()}
    assert {Path(p).name: row for p, row in after.items()} == before
    assert store.search("red", k=1)[0].path == moved.resolve() / "red.png"
    assert store.add([moved]).unchanged == 3


def test_two_copies_of_a_moved_file_are_one_move_and_one_copy(folder, store, color_model):
    store.add([folder])
    encoded = color_model.encoder.encoded
    data = (folder / "red.png").read_bytes()
    (folder / "red.png").unlink()
    for name in ("one.png", "two.png"):
        (folder / name).write_bytes(data)
    report = store.add([folder])
    assert (report.indexed, report.moved, report.gone) == (1, 1, 0)
    assert color_model.encoder.encoded == encoded
    assert len(store) == 4


def test_a_new_image_at_the_place_of_a_moved_one(folder, store, rows):
    store.add([folder])
    (folder / "red.png").rename(folder / "was-red.png")
    spotted(folder / "red.png", "green", spot=40)
    report = store.add([folder])
    assert report.indexed == 2  # as red.png is there, was-red.png counts as a copy
    ids = [row["id"] for row in rows(store, "id").values()]
    assert len(set(ids)) == len(ids) == 4


def test_files_that_changed_places(folder, store):
    store.add([folder])
    (folder / "red.png").rename(folder / "x")
    (folder / "blue.png").rename(folder / "red.png")
    (folder / "x").rename(folder / "blue.png")
    store.add([folder])
    assert store.search("red", k=1)[0].path.stem == "blue"
    assert len(store) == 3


def test_a_touched_file_is_read_and_not_encoded(folder, store, color_model):
    store.add([folder])
    encoded = color_model.encoder.encoded
    os.utime(folder / "red.png", (1, 1))
    report = store.add([folder])
    assert (report.indexed, report.unchanged, report.moved) == (0, 3, 0)
    assert color_model.encoder.encoded == encoded


def test_unchanged_files_are_not_opened(folder, store, monkeypatch):
    store.add([folder])
    monkeypatch.setattr("finesight.indexing.encode._read", lambda found, data: pytest.fail("read"))
    assert store.add([folder]).unchanged == 3


def test_deleted_files_leave_when_asked(folder, store):
    spotted(folder / "deep" / "other.png", "red")
    store.add([folder])
    (folder / "red.png").unlink()
    (folder / "deep" / "other.png").unlink()
    report = store.add([folder])
    assert (report.gone, report.removed, len(store)) == (2, 0, 4)
    report = store.add([folder], prune=True)
    assert (report.gone, report.removed, len(store)) == (2, 2, 2)
    assert store.add([folder], prune=True).gone == 0


def test_pruning_is_for_the_given_folders_alone(folder, store, tmp_path):
    spotted(tmp_path / "pictures2" / "a.png", "red", spot=50)
    store.add([folder, tmp_path / "pictures2"])
    (tmp_path / "pictures2" / "a.png").unlink()
    assert store.add([folder], prune=True).removed == 0
    assert len(store) == 4


def test_what_is_ignored_now_leaves_when_pruned(folder, store):
    store.add([folder])
    (folder / ".finesightignore").write_text("red.png")
    assert store.add([folder], prune=True).removed == 1


def test_pruning_spares_what_cannot_be_looked_at(folder, store, monkeypatch):
    spotted(folder / "locked" / "a.png", "red", spot=50)
    store.add([folder])
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert store.add([folder], prune=True).removed == 0
    assert len(store) == 4


def test_failures_are_kept_and_tried_again_when_the_file_changes(folder, store, monkeypatch):
    bad = folder / "bad.png"
    bad.write_text("no image")
    (first,) = store.add([folder]).skipped
    assert not first.remembered
    assert [(s.path, s.reason) for s in store.skipped()] == [(bad.resolve(), first.reason)]
    with monkeypatch.context() as patched:
        patched.setattr("finesight.indexing.encode._read", lambda found, data: pytest.fail("read"))
        (again,) = store.add([folder]).skipped
    assert (again.path, again.reason, again.remembered) == (first.path, first.reason, True)
    spotted(bad, "green", spot=33)
    report = store.add([folder])
    assert (report.indexed, report.skipped, store.skipped()) == (1, (), [])


def test_a_failure_is_forgotten_with_its_file(folder, store):
    (folder / "bad.png").write_text("no image")
    store.add([folder])
    (folder / "bad.png").unlink()
    store.add([folder])
    assert store.skipped() == []


def test_an_image_that_broke_is_no_hit_any_more(folder, store):
    store.add([folder])
    (folder / "red.png").write_bytes((folder / "red.png").read_bytes()[:60])
    (skipped,) = store.add([folder]).skipped
    assert skipped.path.name == "red.png"
    assert {hit.path.stem for hit in store.search("red")} == {"green", "blue"}


def test_a_file_that_cannot_be_read_now_keeps_its_row_and_is_tried_again(
    folder, store, monkeypatch
):
    store.add([folder])
    os.utime(folder / "red.png", (1, 1))

    def refuse(found, data):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("finesight.indexing.encode._read", refuse)
        (skipped,) = store.add([folder]).skipped
    assert skipped.reason == "cannot be read: Permission denied"
    assert len(store) == 3
    assert store.add([folder]).skipped == ()


def test_the_limit_of_pixels_can_be_raised(folder, store):
    report = store.add([folder], max_pixels=1000)
    assert report.indexed == 0
    assert "too large: 200 x 160 pixels, the limit is 1,000" in report.skipped[0].reason
    assert store.add([folder]).indexed == 3
    assert store.skipped() == []


@pytest.mark.parametrize(
    ("write", "name"), [(zipped, "x.zip"), (tarred, "x.tar"), (tarred, "x.tgz")]
)
def test_an_archive_is_indexed_like_a_folder(tmp_path, store, color_model, write, name):
    files = {"red.png": picture(), "in/blue.png": picture("blue"), "in/bad.png": b"no image"}
    archive = write(tmp_path / name, files).resolve()
    report = store.add([tmp_path])
    assert (report.indexed, [s.path for s in report.skipped]) == (2, [archive / "in" / "bad.png"])
    assert store.search("blue", k=1)[0].path == archive / "in" / "blue.png"
    encoded = color_model.encoder.encoded
    report = store.add([tmp_path])
    assert (report.indexed, report.unchanged, len(report.skipped)) == (0, 2, 1)
    write(tmp_path / name, {"red.png": files["red.png"], "green.png": picture("green")})
    report = store.add([tmp_path], prune=True)
    assert (report.indexed, report.unchanged, report.removed) == (1, 1, 1)
    assert color_model.encoder.encoded == encoded + 39
    assert store.skipped() == []


def test_an_unchanged_archive_is_not_opened(tmp_path, store, monkeypatch):
    zipped(tmp_path / "x.zip", {"red.png": picture()})
    store.add([tmp_path])
    monkeypatch.setattr(sources, "members", lambda path: pytest.fail("opened"))
    assert store.add([tmp_path]).unchanged == 1
    assert store.add([tmp_path], prune=True).removed == 0


def test_a_moved_archive_is_not_encoded_again(tmp_path, store, color_model):
    archive = zipped(tmp_path / "x.zip", {"red.png": picture(), "blue.png": picture("blue")})
    store.add([tmp_path])
    encoded = color_model.encoder.encoded
    archive.rename(tmp_path / "y.zip")
    assert store.add([tmp_path]).moved == 2
    assert color_model.encoder.encoded == encoded
    assert len(store) == 2


def test_a_truncated_archive_keeps_what_could_be_read(tmp_path, store):
    files = {f"{i}.png": picture(spot=10 + i, compress_level=0) for i in range(4)}
    archive = tarred(tmp_path / "x.tar", files)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) * 6 // 10])
    report = store.add([tmp_path])
    assert report.indexed == 2
    assert "damaged archive" in report.skipped[-1].reason
    assert store.add([tmp_path], prune=True).removed == 0
    archive.write_bytes(whole)
    assert store.add([tmp_path]).indexed == 2
    assert store.skipped() == []


def test_a_kill_before_an_archive_is_read_to_its_end(tmp_path, store, monkeypatch):
    zipped(tmp_path / "x.zip", {f"{i}.png": picture(spot=10 + i) for i in range(6)})
    monkeypatch.setattr(commit, "_COMMIT", 2)
    monkeypatch.setattr("finesight.encoders.crops._CROPS", 1)

    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add([tmp_path], progress=interrupt)
    assert len(store) == 4
    report = store.add([tmp_path])
    assert (report.indexed, report.unchanged) == (2, 4)


def test_bytes_of_archives_do_not_pile_up(tmp_path, store, monkeypatch):
    limit = 300_000
    monkeypatch.setattr("finesight.indexing.encode._BYTES_AHEAD", limit)
    monkeypatch.setattr("finesight.encoders.crops.os.cpu_count", lambda: 16)
    files = {f"{i:02}.png": picture(spot=10 + i, compress_level=0) for i in range(20)}
    most = max(map(len, files.values()))
    zipped(tmp_path / "x.zip", files)
    held = []
    read = encode._Encoding._count

    def count(self, more):
        read(self, more)
        held.append(self.waiting)

    monkeypatch.setattr(encode._Encoding, "_count", count)
    assert store.add([tmp_path]).indexed == 20
    assert max(held) <= limit + most
    assert held[-1] == 0


def test_a_webdataset_brings_captions_and_metadata(tmp_path, store, rows):
    files = {
        "000.json": json.dumps({"city": "Bonn", "score": float("nan")}).encode(),
        "000.png": picture(),
        "000.txt": b"ein roter Fleck\n",
        "001.png": picture("blue"),
        "001.json": b'{"caption": "a blue spot", "id": 7}',
        "002.png": picture("green"),
        "002.json": b"{damaged",
    }
    tarred(tmp_path / "shard.tar", files)
    assert store.add([tmp_path]).skipped == ()
    found = [(r["caption"], r["metadata"]) for r in rows(store, "caption", "metadata").values()]
    assert [words for words, _ in found] == ["ein roter Fleck", "a blue spot", None]
    assert [json.loads(data or "null") for _, data in found] == [
        {"city": "Bonn", "score": None},
        {"id": 7},
        None,
    ]


@pytest.fixture
def coco(tmp_path):
    root = tmp_path / "coco"
    for number, color in enumerate(("red", "blue"), 1):
        spotted(root / "val2017" / f"{number:012}.png", color)
    (root / "annotations").mkdir()
    images = [
        {"id": n, "file_name": f"{n:012}.png", "width": 200, "height": 160, "license": 3}
        for n in (1, 2)
    ]
    captions = {
        "images": images,
        "annotations": [
            {"image_id": 1, "id": 1, "caption": "A red spot. "},
            {"image_id": 1, "id": 2, "caption": "Something red."},
        ],
    }
    instances = {
        "images": images,
        "categories": [{"id": 5, "name": "mug"}, {"id": 6, "name": "bowl"}],
        "annotations": [{"image_id": 1, "category_id": 6}, {"image_id": 1, "category_id": 5}],
    }
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps(captions))
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(instances))
    return root


def test_a_folder_of_coco_brings_captions_and_categories(coco, store, rows):
    assert store.add([coco]).indexed == 2
    first, second = rows(store, "caption", "metadata").values()
    assert first["caption"] == "A red spot.\nSomething red."
    assert json.loads(first["metadata"]) == {
        "id": 1,
        "license": 3,
        "categories": ["bowl", "mug"],
    }
    assert (second["caption"], json.loads(second["metadata"])) == (None, {"id": 2, "license": 3})
    query = "json_array_contains(metadata, '$.categories', 'mug')"
    assert store._folder.table().count(query) == 1


def test_changed_annotations_reach_images_that_are_there(coco, store, color_model, rows):
    store.add([coco])
    encoded = color_model.encoder.encoded
    file = coco / "annotations" / "captions_val2017.json"
    file.write_text(file.read_text().replace("Something red.", "A crimson thing."))
    assert store.add([coco]).unchanged == 2
    assert color_model.encoder.encoded == encoded
    found = rows(store, "caption")
    assert found[min(found)]["caption"] == "A red spot.\nA crimson thing."


def test_unchanged_annotations_are_not_read_again(coco, store, monkeypatch):
    store.add([coco])
    monkeypatch.setattr(sources.Notes, "read", lambda self, path: pytest.fail("read"))
    assert store.add([coco]).unchanged == 2


def test_damaged_annotations_are_skipped_with_a_reason(coco, store):
    (coco / "annotations" / "captions_val2017.json").write_text("{")
    report = store.add([coco])
    assert report.indexed == 2
    assert [s.path.name for s in report.skipped] == ["captions_val2017.json"]
    assert "damaged" in report.skipped[0].reason
    assert [s.remembered for s in store.add([coco]).skipped] == [True]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", "file_name,text,year\nred.png,a red spot,2019\ngone.png,x,1\n"),
        (
            "metadata.jsonl",
            '{"file_name": "red.png", "text": "a red spot", "year": "2019"}\n\n'
            '{"file_name": "gone.png"}\n',
        ),
    ],
)
def test_a_table_of_metadata_in_the_folder(folder, store, rows, name, content):
    (folder / name).write_text(content)
    store.add([folder])
    found = rows(store, "caption", "metadata")
    row = found[str(folder.resolve() / "red.png")]
    assert (row["caption"], json.loads(row["metadata"])) == ("a red spot", {"year": "2019"})
    assert store._folder.table().count("json_get_string(metadata, 'year') = '2019'") == 1
    assert sum(row["caption"] is not None for row in found.values()) == 1


def test_date_and_camera_are_kept_and_can_be_filtered_by(tmp_path, store, rows):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon\0", "Canon EOS R5"
    exif.get_ifd(0x8769)[0x9003] = "2019:07:31 23:59:58"
    (tmp_path / "a.jpg").write_bytes(picture(kind="JPEG", exif=exif))
    (tmp_path / "b.jpg").write_bytes(picture(kind="JPEG", spot=30))
    store.add([tmp_path])
    with_exif, without = rows(store, "taken", "camera").values()
    assert with_exif == {"taken": datetime(2019, 7, 31, 23, 59, 58), "camera": "Canon EOS R5"}
    assert without == {"taken": None, "camera": None}
    for text in ("camera = 'Canon EOS R5'", "taken < timestamp '2020-01-01'", "width = 200"):
        assert store._folder.table().count(text) >= 1
    assert store._folder.table().count("taken >= timestamp '2019-08-01 00:00:00'") == 0


def test_removing(folder, store, tmp_path):
    zipped(folder / "x.zip", {"a.png": picture(spot=50), "b.png": picture(spot=60)})
    (folder / "bad.png").write_text("no image")
    store.add([folder])
    assert store.remove([folder / "red.png"]) == 1
    assert store.remove([folder / "x.zip" / "a.png"]) == 1
    assert store.remove(["*/gr?en.png", folder / "bad.png"]) == 1
    assert {hit.path.name for hit in store.search("red")} == {"blue.png", "b.png"}
    assert store.skipped() == []
    with pytest.raises(InputError, match="holds no image of"):
        store.remove([tmp_path / "nothing"])
    report = store.add([folder])
    assert (report.indexed, len(report.skipped), len(store)) == (3, 1, 5)
    assert store.remove([folder]) == 5


def test_many_small_commits_are_joined(tmp_path, store, monkeypatch):
    monkeypatch.setattr(commit, "_COMMIT", 1)
    monkeypatch.setattr("finesight.store.table._FILES", 4)
    for number in range(8):
        spotted(tmp_path / "p" / f"{number}.png", "red", spot=10 + number)
    store.add([tmp_path / "p"])
    assert len(store._folder.table().dataset.get_fragments()) == 1
    assert len(store) == 8
    assert store.add([tmp_path / "p"]).unchanged == 8


def test_what_only_old_versions_hold_is_deleted(tmp_path, folder, store, monkeypatch):
    store.add([folder])
    spotted(folder / "one.png", "red", spot=50)
    store.add([folder])
    before = {version["version"] for version in store._folder.table().dataset.versions()}
    assert len(before) > 2
    monkeypatch.setattr("finesight.store.table._KEPT", timedelta(0))
    spotted(folder / "two.png", "red", spot=60)
    store.add([folder])
    after = {version["version"] for version in store._folder.table().dataset.versions()}
    assert not before & after
    assert len(store.search("red", k=9)) == 5
