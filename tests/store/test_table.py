import numpy as np
import pytest
from conftest import make_table

from finesight.collection import Collection
from finesight.errors import DataError
from finesight.store.table import ImageTable


@pytest.fixture
def table(tmp_path, random_model):
    make_table(tmp_path / "c", random_model, np.random.default_rng(0), 20)
    return Collection.open(tmp_path / "c", random_model).table()


def test_a_table_stays_as_it_was_opened_while_it_is_written_to(table):
    ids = table.read(["id"])["id"].to_pylist()
    table.delete(ids[:3])
    table.update([{"id": ids[5], "path": "/moved.png", "size": 7}])
    assert (table.count(), table.is_newest) == (20, False)
    newest = table.newest()
    assert (newest.count(), newest.is_newest, newest.version > table.version) == (17, True, True)
    (row,) = newest.read(["id", "size", "width"], "path = '/moved.png'").to_pylist()
    assert row == {"id": ids[5], "size": 7, "width": 10}


def test_writing_nothing_makes_no_version(table):
    table.delete([])
    table.update([])
    assert table.is_newest


def test_rows_by_place_by_condition_and_batch_by_batch(table):
    paths = table.read(["path"])["path"].to_pylist()
    assert table.take([4, 1], ["path"])["path"].to_pylist() == [paths[4], paths[1]]
    assert len(table.row_ids("width > 10")) == 0
    assert len(table.row_ids("path LIKE '%/00_.png'")) == 10
    batches = list(table.batches(["path"], rows=8))
    assert max(batch.num_rows for batch in batches) <= 8
    assert [path for batch in batches for path in batch["path"].to_pylist()] == paths
    assert list(table.batches(["path"], "width > 10")) == []
    assert table.read(["path"], limit=2, offset=3)["path"].to_pylist() == paths[3:5]


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"missing or damaged: remove .* and index again"):
        ImageTable.open(tmp_path / "images-0.lance")
