import lance
import numpy as np
import pyarrow as pa
import pytest
from conftest import make_table, spotted

from finesight.collection import Collection
from finesight.errors import InputError
from finesight.store.schema import unpack, unpack_stored
from finesight.store.storage import Storage, distinct_regions


def stored(collection):
    return collection._folder.table().read().combine_chunks()


def test_int8_keeps_the_ranking_and_half_the_bytes(tmp_path, random_model):
    embeddings = make_table(tmp_path / "c", random_model, np.random.default_rng(0), 50)
    collection = Collection.open(tmp_path / "c", random_model)
    before = {t: collection.search(t, 5, "exact") for t in "abc"}
    collection.optimize(["a"], storage=Storage("int8"))
    rows = stored(collection)
    assert rows.schema.field("regions").type.value_type.value_type == pa.int8()
    for text, hits in before.items():
        again = collection.search(text, 5, "exact")
        np.testing.assert_allclose([h.score for h in again], [h.score for h in hits], atol=0.02)
        assert len({h.path for h in again} & {h.path for h in hits}) >= 4
    first = rows["path"][0].as_py().rpartition("/")[2]
    kept = unpack(rows["regions"].chunk(0))[0][: len(embeddings[first])]
    cosines = (kept * embeddings[first]).sum(axis=1)
    assert cosines.min() > 0.999
    assert unpack_stored(rows["regions"].chunk(0))[0].dtype == np.int8


def test_what_comes_later_is_kept_alike(folder, tmp_path, color_model):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    collection.optimize(["red"], storage=Storage("int8", 0.9999))
    spotted(folder / "new.png", "red", spot=30)
    (folder / "copy.png").write_bytes((folder / "green.png").read_bytes())
    assert collection.add([folder]).indexed == 2
    fresh = Collection.open(tmp_path / "c", color_model)
    assert fresh.storage == Storage("int8", 0.9999)
    rows = {row["path"].rpartition("/")[2]: row for row in stored(fresh).to_pylist()}
    assert rows["copy.png"]["regions"] == rows["green.png"]["regions"]
    counts = {len(row["regions"]) for row in rows.values()}
    assert max(counts) < 39  # of cc5: the gray ones are alike
    assert all(len(row["regions"]) == len(row["boxes"]) for row in rows.values())
    assert all(row["boxes"][0] == [0, 0, 1, 1] for row in rows.values())
    hit = fresh.search("green", k=1)[0]
    assert hit.path.stem in ("green", "copy")
    x0, y0, x1, y1 = hit.box
    assert x0 <= 132 / 200 <= x1
    assert y0 <= 112 / 160 <= y1


def test_keeping_regions_as_they_are_writes_nothing(folder, tmp_path, color_model):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    version = collection._folder.table().version
    collection.optimize(["red"], storage=Storage("float16"))
    assert collection._folder.table().version == version


def test_there_and_back(tmp_path, random_model):
    make_table(tmp_path / "c", random_model, np.random.default_rng(0), 20)
    collection = Collection.open(tmp_path / "c", random_model)
    before = collection.search("a", 20, "exact")
    for kind in ("int8", "float16"):
        collection.optimize(["a"], storage=Storage(kind))
        assert collection.storage == Storage(kind)
        after = collection.search("a", 20, "exact")
        np.testing.assert_allclose([h.score for h in after], [h.score for h in before], atol=0.02)
    assert stored(collection).schema.field("regions").type.value_type.value_type == pa.float16()


def test_a_reader_of_the_old_form_is_not_disturbed(tmp_path, random_model):
    make_table(tmp_path / "c", random_model, np.random.default_rng(0), 30)
    reader = lance.dataset(Collection.open(tmp_path / "c", random_model)._folder.table().path)
    before = reader.to_table(columns=["regions"])
    Collection.open(tmp_path / "c", random_model).optimize(["a"], storage=Storage("int8"))
    assert reader.to_table(columns=["regions"]) == before


def test_distinct_regions_by_hand():
    regions = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0], [0, 1]], np.float32)
    boxes = np.array(
        [[0, 0, 1, 1], [0, 0, 0.2, 0.2], [0, 0, 1, 1], [0, 0, 0.5, 0.5], [0, 0, 0.4, 0.4]],
        np.float32,
    )
    assert distinct_regions(regions, boxes, 0.99).tolist() == [0, 2, 4]  # 4 is larger than 1
    assert distinct_regions(regions, boxes, 0.7).tolist() == [0, 2]
    assert distinct_regions(regions[:1], boxes[:1], 0.5).tolist() == [0]


def test_what_is_left_out_is_near_to_what_is_kept():
    rng = np.random.default_rng(0)
    regions = rng.normal(size=(60, 3)).astype(np.float32)
    regions /= np.linalg.norm(regions, axis=1, keepdims=True)
    boxes = np.concatenate([np.zeros((60, 2)), rng.random((60, 2))], axis=1).astype(np.float32)
    keep = distinct_regions(regions, boxes, 0.95)
    near = regions @ regions[keep].T
    assert near.max(axis=1).min() >= 0.95
    among = near[keep] - 2 * np.eye(len(keep))
    assert among.max() < 0.95


@pytest.mark.parametrize(("arguments", "message"), [(("int4",), "int4"), (("int8", 0.1), "0.5")])
def test_storages_that_are_none(arguments, message):
    with pytest.raises(InputError, match=message):
        Storage(*arguments)
