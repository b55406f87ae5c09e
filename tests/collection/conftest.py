"""What the tests of collections share."""

import pytest

from finesight.collection import Collection


@pytest.fixture
def store(tmp_path, color_model):
    """A new collection."""
    return Collection.open(tmp_path / "c", color_model)


@pytest.fixture
def rows(tmp_path):
    """A function that returns columns of the collection's rows by path's name."""

    def read(collection, *columns):
        table = collection._table().to_table(columns=["path", *columns])
        return {row.pop("path"): row for row in table.to_pylist()}

    return read
