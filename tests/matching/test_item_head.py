"""The item head at run time, on a tiny graph made for the test."""

from pathlib import Path

import numpy as np
import pytest
from item_heads import write_head

from finesight.errors import DataError
from finesight.matching.item_head import ITEM_HEAD, ItemHead


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_head(tmp_path / ITEM_HEAD, np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    return tmp_path / ITEM_HEAD


def test_items_of_regions(path: Path) -> None:
    head = ItemHead(path)
    found = head(np.array([[0.6, 0.0, 0.8], [0.5, 0.5, 0.0]], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[1, 0], [0.4472, 0.8944]], atol=1e-4)


def test_many_regions_are_as_few(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = ItemHead(path)
    regions = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    whole = head(regions)
    monkeypatch.setattr("finesight.matching.item_head._AT_ONCE", 3)
    np.testing.assert_array_equal(head(regions), whole)
    assert head(regions[:0]).shape == (0, 2)


def test_what_is_wrong_is_said(path: Path) -> None:
    head = ItemHead(path)
    with pytest.raises(DataError, match="width 3, and these have 4"):
        head(np.zeros((1, 4), np.float32))
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"item_head\.onnx is damaged .*: download, export"):
        ItemHead(path)(np.zeros((1, 3), np.float32))
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        ItemHead(path)(np.zeros((1, 3), np.float32))
