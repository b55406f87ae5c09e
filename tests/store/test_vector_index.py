import lance
import numpy as np
import pyarrow as pa
import pytest
from conftest import make_table

from finesight.collection import Collection
from finesight.store import snapshot, upkeep, vector_index
from finesight.store.vector_index import hex_numbers, index_path

TEXTS = [f"query {number}" for number in range(12)]


@pytest.fixture
def few(monkeypatch):
    """More than 100 vectors are many."""
    monkeypatch.setattr(snapshot, "FLAT", 100)
    monkeypatch.setattr(upkeep, "FLAT", 100)
    monkeypatch.setattr("finesight.search.retrieve.FLAT", 100)
    monkeypatch.setattr("finesight.search.retrieve._CANDIDATES", 40)
    monkeypatch.setattr("finesight.search.retrieve._MORE", 1)


def made(tmp_path, model, images=600, seed=0, names="{:03d}.png"):
    make_table(tmp_path / "c", model, np.random.default_rng(seed), images, 2, names)
    collection = Collection.open(tmp_path / "c", model)
    upkeep.keep_fast(collection._folder.table(), collection._folder.active.made_of)
    return collection


def recall(collection, **conditions):
    right = wanted = 0
    for text in TEXTS:
        exact = collection.search(text, 5, "exact", **conditions)
        hits = collection.search(text, 5, **conditions)
        right += len({hit.path for hit in hits} & {hit.path for hit in exact})
        wanted += len(exact)
        assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
    return right / wanted


def vectors_of(collection):
    return lance.dataset(str(index_path(collection._folder.table().path)))


def images_of(indexed):
    return len(np.unique(indexed.images[indexed.known]))


def test_many_vectors_are_indexed_without_being_asked(tmp_path, random_model, few):
    collection = made(tmp_path, random_model)
    assert collection._reader.snapshot().flat is None
    indexed = collection._reader.snapshot().indexed
    assert images_of(indexed) == 600
    assert len(indexed.rest.counts) == 0
    assert vectors_of(collection).count_rows() == 1200
    assert recall(collection) > 0.8


def test_what_the_index_lacks_is_scanned(tmp_path, random_model, few):
    collection = made(tmp_path, random_model)
    rng = np.random.default_rng(1)
    make_table(tmp_path / "c", random_model, rng, 30, 2, "new{:03d}.png")
    indexed = collection._reader.snapshot().indexed
    assert (images_of(indexed), len(indexed.rest.counts)) == (600, 30)
    new = [collection.search(text, 30, path="new*") for text in TEXTS[:2]]
    assert all(len(hits) == 30 for hits in new)
    every = {hit.path.name for text in TEXTS for hit in collection.search(text, 20)}
    assert any(name.startswith("new") for name in every)


def test_changed_and_removed_images_leave_the_index(tmp_path, random_model, few):
    collection = made(tmp_path, random_model)
    make_table(tmp_path / "c", random_model, np.random.default_rng(5), 50, 2)  # other content
    collection._folder.table().dataset.delete("path LIKE '%/59_.png'")
    before = collection._reader.snapshot().indexed
    assert (images_of(before), len(before.rest.counts)) == (540, 50)
    assert recall(collection) > 0.8
    names = {hit.path.name for text in TEXTS for hit in collection.search(text, 40)}
    assert not any(name.startswith("59") for name in names)
    upkeep.keep_fast(collection._folder.table(), collection._folder.active.made_of)
    fresh = Collection.open(tmp_path / "c", random_model)
    after = fresh._reader.snapshot().indexed
    assert (images_of(after), len(after.rest.counts)) == (590, 0)
    assert vectors_of(fresh).count_rows() == 1180
    assert recall(fresh) > 0.8


def test_keeping_up_with_nothing_new_writes_nothing(tmp_path, random_model, few):
    collection = made(tmp_path, random_model)
    versions = vectors_of(collection).version, collection._folder.table().version
    upkeep.keep_fast(collection._folder.table(), collection._folder.active.made_of)
    assert (vectors_of(collection).version, collection._folder.table().version) == versions


def test_other_vectors_are_indexed_anew(tmp_path, random_model, few):
    collection = made(tmp_path, random_model)
    upkeep.keep_fast(collection._folder.table(), "another fusion")
    assert vectors_of(collection).schema.metadata[b"made_of"] == b"another fusion"
    assert collection._reader.snapshot().indexed is None
    assert recall(collection) > 0.8  # all are scanned then


def test_without_an_index_all_are_scanned(tmp_path, random_model, few):
    make_table(tmp_path / "c", random_model, np.random.default_rng(0), 600, 2)
    collection = Collection.open(tmp_path / "c", random_model)
    assert collection._reader.snapshot().indexed is None
    assert recall(collection) > 0.8


@pytest.mark.parametrize("path", ["00*.png", "[0-4]*.png"])
def test_filters_that_leave_few_and_many(tmp_path, random_model, few, path):
    assert recall(made(tmp_path, random_model), path=path) > 0.8


def test_hex_numbers():
    texts = ["0123456789abcdef", "ffffffffffffffff" + "0" * 48, "0" * 64]
    expected = [int(text[:16], 16) for text in texts]
    assert hex_numbers(pa.array(texts)).tolist() == expected
    assert hex_numbers(pa.chunked_array([texts, texts[:1]])).tolist() == [*expected, expected[0]]
    assert hex_numbers(pa.array(texts).slice(1)).tolist() == expected[1:]
    assert hex_numbers(pa.array([], pa.string())).tolist() == []


def test_a_tuned_index_is_asked_as_tuned(tmp_path, random_model, few):
    collection = made(tmp_path, random_model)
    assert collection._reader.snapshot().indexed.asked == round(
        0.3 * vector_index.partitions_of(1200)
    )
    vectors_of(collection).update_config({vector_index.PARTITIONS_ASKED: "33"})
    assert Collection.open(tmp_path / "c", random_model)._reader.snapshot().indexed.asked == 33
