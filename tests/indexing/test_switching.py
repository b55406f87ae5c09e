import json

import pytest
from conftest import ColorEncoder, spotted

from finesight.collection import Collection
from finesight.errors import InputError
from finesight.indexing import commit
from finesight.models import Model


@pytest.fixture
def other():
    return Model("other", "other", ColorEncoder(), "{}", "cc5", "f" * 16)


@pytest.fixture
def indexed(folder, store):
    store.add([folder], vectors=3)
    return store


def settings(store):
    return json.loads((store.directory / "collection.json").read_text())


def test_another_model_is_refused_with_the_command_that_mends_it(indexed, other):
    with pytest.raises(InputError) as caught:
        Collection.open(indexed.directory, other)
    assert f"finesight switch other --collection {indexed.directory}" in str(caught.value)


def test_switching_and_back(folder, indexed, other, color_model, rows):
    ids = {path: row["id"] for path, row in rows(indexed, "id").items()}
    report = indexed.switch(other)
    assert (report.indexed, report.missing, report.switched) == (3, (), True)
    assert other.encoder.encoded == 3 * 39
    assert indexed.model is other
    reopened = Collection.open(indexed.directory, other)
    assert reopened.search("red", k=1)[0].path.stem == "red"
    assert {path: row["id"] for path, row in rows(reopened, "id").items()} == ids
    assert (reopened.status()["model"], reopened.status()["others"]) == ("other", "colors")
    assert (reopened.status()["vectors"], reopened.status()["regions"]) == (3, "cc5")
    with pytest.raises(InputError, match="finesight switch colors"):
        Collection.open(indexed.directory, color_model)

    spotted(folder / "new.png", "red", spot=60)
    (folder / "blue.png").unlink()
    reopened.add([folder], prune=True)
    encoded = color_model.encoder.encoded
    assert reopened.switch(color_model).indexed == 1
    assert color_model.encoder.encoded == encoded + 39  # the new image alone
    back = Collection.open(indexed.directory, color_model)
    assert {hit.path.stem for hit in back.search("red")} == {"red", "green", "new"}
    assert back.add([folder]).unchanged == 3


def test_searches_go_on_with_the_old_model_while_the_new_one_looks(indexed, other, color_model):
    seen = []

    def progress(done, total):
        reader = Collection.open(indexed.directory, color_model)
        seen.append((reader.search("red", k=1)[0].path.stem, reader.status()["model"]))

    indexed.switch(other, progress)
    assert len(seen) >= 3
    assert set(seen) == {("red", "colors")}


def test_an_interrupted_switch_goes_on(indexed, other, color_model, monkeypatch):
    monkeypatch.setattr(commit, "_COMMIT", 1)
    monkeypatch.setattr("finesight.encoders.crops._CROPS", 1)

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        indexed.switch(other, interrupt)
    again = Collection.open(indexed.directory, color_model)
    assert again.status()["model"] == "colors"
    assert again.search("red", k=1)[0].path.stem == "red"
    report = again.switch(other)
    assert report.switched
    assert report.indexed < 3
    assert len(Collection.open(indexed.directory, other)) == 3


def test_missing_files_stop_a_switch_unless_told_otherwise(folder, indexed, other, color_model):
    (folder / "red.png").unlink()
    report = indexed.switch(other)
    assert (report.switched, [p.name for p in report.missing]) == (False, ["red.png"])
    assert Collection.open(indexed.directory, color_model).search("red", k=1)[0].path.stem == "red"
    assert indexed.switch(other, without_missing=True).switched
    assert len(Collection.open(indexed.directory, other)) == 2


def test_captions_go_along(folder, store, other, rows):
    (folder / "metadata.csv").write_text("file_name,text,year\nred.png,a red spot,2019\n")
    store.add([folder])
    store.switch(other)
    row = rows(store, "caption", "metadata")[str(folder.resolve() / "red.png")]
    assert (row["caption"], json.loads(row["metadata"])) == ("a red spot", {"year": "2019"})


def test_removed_images_leave_every_model(folder, indexed, other, color_model):
    indexed.switch(other)
    indexed.remove([folder / "red.png"])
    indexed.switch(color_model)
    assert len(indexed) == 2


def test_forgetting_a_model(folder, indexed, other, color_model):
    indexed.switch(other)
    with pytest.raises(InputError, match="keeps no vectors of other"):
        indexed.forget("other")
    indexed.forget("colors")
    assert [path.name for path in indexed.directory.glob("images-*")] == [
        f"images-{'f' * 16}.lance"
    ]
    assert settings(indexed)["others"] == {}
    encoded = color_model.encoder.encoded
    indexed.switch(color_model)
    assert color_model.encoder.encoded == encoded + 3 * 39


def test_switching_to_the_active_model_or_nothing_there(indexed, tmp_path, color_model):
    with pytest.raises(InputError, match="already answers with colors"):
        indexed.switch(color_model)
    with pytest.raises(InputError, match="there is no collection"):
        Collection.open(tmp_path / "none").switch(color_model)


def test_searches_notice_that_another_run_switched(indexed, other, color_model, monkeypatch):
    models = {"colors": color_model, "other": other}
    monkeypatch.setattr("finesight.search.reader.load_model", models.__getitem__)
    free = Collection.open(indexed.directory)
    bound = Collection.open(indexed.directory, color_model)
    assert free.search("red", k=1)[0].path.stem == "red"
    bound.search("red", k=1)
    indexed.switch(other)
    assert free.search("red", k=1)[0].path.stem == "red"
    assert free.model is other
    with pytest.raises(InputError, match="finesight switch colors"):
        bound.search("red", k=1)


def test_who_switched_searches_with_the_new_model_at_once(folder, indexed, other):
    assert indexed.search("red", k=1)
    version = indexed.table().path
    indexed.switch(other)
    assert indexed.search("red", k=1)[0].path.stem == "red"
    assert indexed.table().path != version


def test_nothing_is_indexed_into_the_table_of_a_model_that_came_meanwhile(
    folder, indexed, other, color_model
):
    bound = Collection.open(indexed.directory, color_model)
    indexed.switch(other)
    spotted(folder / "new.png", "red", spot=60)
    with pytest.raises(InputError, match="answers with other now"):
        bound.add([folder])
    assert len(Collection.open(indexed.directory, other)) == 3
