import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import make_table

from finesight.collection import Collection
from finesight.errors import InputError
from finesight.store.storage import Storage


@pytest.fixture
def made(tmp_path, random_model):
    embeddings = make_table(tmp_path / "c", random_model, np.random.default_rng(0), 20)
    return Collection.open(tmp_path / "c", random_model), embeddings


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_regions_as_arrow(made, kind):
    collection, embeddings = made
    collection.optimize(["a"], storage=Storage(kind))
    table = collection.read(["path", "boxes", "regions"]).read_all()
    assert table.schema.field("regions").type == pa.list_(pa.list_(pa.float16(), 8))
    for row in table.to_pylist():
        seen = embeddings[row["path"].rpartition("/")[2]]
        assert len(row["boxes"]) == len(seen)
        np.testing.assert_allclose(np.array(row["regions"], np.float32), seen, atol=0.01)


def test_everything_as_arrow_and_filters(made):
    collection, _ = made
    assert collection.read().read_all().num_rows == 20
    some = collection.read(["width", "path"], where="width = 10", path="00*").read_all()
    assert some.column_names == ["width", "path"]
    assert some.num_rows == 10
    assert collection.read(["id"], where="width > 10").read_all().num_rows == 0


def test_columns_that_are_not_there(made):
    with pytest.raises(InputError, match=r"no column nothing: choose of id, path"):
        made[0].read(["nothing"])


@pytest.mark.parametrize("vectors", ["pooled", "regions", "global", "fused", "whole"])
def test_parquet_and_npz_hold_the_same(made, tmp_path, vectors):
    collection, embeddings = made
    counts = collection.export_vectors(tmp_path / "x" / "v.parquet", vectors)
    assert collection.export_vectors(tmp_path / "v.npz", vectors) == counts
    table = pq.read_table(tmp_path / "x" / "v.parquet")
    with np.load(tmp_path / "v.npz") as file:
        npz = dict(file)
    assert counts == (20, table.num_rows)
    expected = {"pooled": 40, "global": 20, "regions": sum(map(len, embeddings.values()))}
    expected |= {"fused": 40, "whole": 20}  # the older names
    assert table.num_rows == len(npz["vectors"]) == expected[vectors]
    flat = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, 8)
    np.testing.assert_array_equal(flat, npz["vectors"].astype(np.float32))
    assert table["path"].to_pylist() == npz["paths"][npz["image"]].tolist()
    assert table["id"].to_pylist() == npz["ids"][npz["image"]].tolist()
    np.testing.assert_array_equal(table["x1"].to_numpy(), npz["boxes"][:, 2])
    if vectors not in ("pooled", "fused"):
        name = npz["paths"][7].rpartition("/")[2]
        own = npz["vectors"][npz["image"] == 7].astype(np.float32)
        np.testing.assert_allclose(own, embeddings[name][: len(own)], atol=1e-3)


def test_only_what_meets_a_condition(made, tmp_path):
    images, _ = made[0].export_vectors(tmp_path / "v.npz", path="000.png")
    assert images == 1
    assert made[0].export_vectors(tmp_path / "v.npz", where="width > 10") == (0, 0)
    with np.load(tmp_path / "v.npz") as file:
        assert file["vectors"].shape == (0, 8)


@pytest.mark.parametrize(
    ("out", "vectors", "message"),
    [
        ("v.csv", "fused", "ends with .parquet or .npz"),
        ("v.npz", "all", "one of pooled, regions, global"),
        ("c/collection.json/v.npz", "fused", "cannot write"),
    ],
)
def test_exports_that_cannot_be(made, tmp_path, out, vectors, message):
    with pytest.raises(InputError, match=message):
        made[0].export_vectors(tmp_path / out, vectors)


def test_there_is_nothing_to_export(tmp_path, random_model):
    with pytest.raises(InputError, match="finesight index"):
        Collection.open(tmp_path / "none", random_model).read()
