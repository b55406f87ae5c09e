"""The item head at run time, on a tiny graph made for the test."""

import json
from pathlib import Path

import numpy as np
import pytest
from item_heads import write_head

from finesight.errors import DataError
from finesight.matching.item_head import ITEM_HEAD, ItemHead


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_head(tmp_path / ITEM_HEAD, np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    (tmp_path / "finesight.json").write_text(json.dumps({"items": {"file": ITEM_HEAD}}))
    return tmp_path


def test_items_of_regions(bundle: Path) -> None:
    head = ItemHead.open(bundle)
    assert head is not None
    found = head(np.array([[0.6, 0.0, 0.8], [0.5, 0.5, 0.0]], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[1, 0], [0.4472, 0.8944]], atol=1e-4)


def test_many_regions_are_as_few(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = ItemHead.open(bundle)
    assert head is not None
    regions = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    whole = head(regions)
    monkeypatch.setattr("finesight.matching.item_head._AT_ONCE", 3)
    np.testing.assert_array_equal(head(regions), whole)
    assert head(regions[:0]).shape == (0, 2)


def test_a_bundle_without_one(tmp_path: Path) -> None:
    assert ItemHead.open(tmp_path) is None
    (tmp_path / "finesight.json").write_text("{}")
    assert ItemHead.open(tmp_path) is None


def test_what_is_wrong_is_said(bundle: Path) -> None:
    head = ItemHead.open(bundle)
    assert head is not None
    with pytest.raises(DataError, match="width 3, and these have 4"):
        head(np.zeros((1, 4), np.float32))
    (bundle / ITEM_HEAD).write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"item_head\.onnx is damaged .*: download, export"):
        ItemHead(bundle / ITEM_HEAD)(np.zeros((1, 3), np.float32))
    (bundle / ITEM_HEAD).unlink()
    with pytest.raises(DataError, match="is missing"):
        ItemHead.open(bundle)
    (bundle / "finesight.json").write_text("[")
    with pytest.raises(DataError, match="damaged"):
        ItemHead.open(bundle)
