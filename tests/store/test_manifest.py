import json
from dataclasses import replace

import pytest

from finesight.errors import DataError
from finesight.store.manifest import MANIFEST, Manifest, TableEntry, read_manifest
from finesight.types import ModelIdentity


def written(name, **more):
    """An entry as collections of versions 1 to 3 have it."""
    model = {"source": name, "fingerprint": name}
    return {"table": f"images-{name}.lance", "regions": "cc3", "model": model, **more}


def read(folder, content):
    head = {"format": "finesight-collection", "version": 3}
    (folder / MANIFEST).write_text(json.dumps({**head, **content}))
    return read_manifest(folder)


def test_what_was_written_is_read(tmp_path):
    identity = ModelIdentity("a", "pad", "dense", "finder", "salient", "head", "background")
    first = replace(identity, finder="older")
    entry = TableEntry("images-a.lance", "A", identity, "cc5", "cc5@finder", first, 8, True)
    other = replace(entry, table="images-a-crop.lance", identity=replace(identity, fit="crop"))
    manifest = Manifest(entry, (other,))
    manifest.write(tmp_path)
    found = read_manifest(tmp_path)
    assert found.active.first == ModelIdentity("a", dense="dense", finder="older")
    assert [replace(each, first=first) for each in found.entries] == [entry, other]
    assert found.version == 3
    assert read_manifest(tmp_path / "nothing") is None


def test_older_manifests_do_not_say_what_was_not_recorded(tmp_path):
    first = read(tmp_path, {**written("a"), "version": 1})
    assert (first.version, first.active.identity.fusion, first.active.vectors) == (1, None, None)
    assert first.active.identity == ModelIdentity("a")
    third = read(tmp_path, written("a", fusion="salient", vectors=8, own_space=True))
    assert (third.active.identity.fusion, third.active.own_space) == ("salient", True)
    assert third.active.made_of == '["salient", 8, "cc3"]'  # by which its index is known


def test_whether_fused_vectors_have_a_space_of_their_own_is_told_of_each_model(tmp_path):
    others = {"b": written("b", fusion="f", vectors=1)}
    manifest = read(tmp_path, {**written("a", own_space=True), "others": others})
    switched = manifest.activated(manifest.beside(ModelIdentity("b")))
    assert not switched.active.own_space
    assert switched.active.table == "images-b.lance"
    back = switched.activated(switched.beside(ModelIdentity("a")))
    assert back.active.own_space
    assert [entry.key for entry in back.others] == ["b"]


@pytest.mark.parametrize(
    "content", [{"others": []}, {"model": "a"}, {"table": None, "others": {"b": 3}}]
)
def test_damaged_manifests_are_refused(tmp_path, content):
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path, {**written("a"), **content})
