import json
from pathlib import Path

import numpy as np
import pytest

from finesight.errors import DataError, InputError
from finesight.research.datasets.flickr30k_cfq import load
from finesight.research.datasets.records import KINDS
from finesight.research.evaluation.typed_queries import (
    by_kind,
    over_folds,
    recalls,
    relevant_matrix,
)

REAL = Path(__file__).parents[4] / "shared" / "data" / "flickr30k_cfq"

FILES = {
    "queries.json": {
        "a dog runs .": {"type": "rawSentence", "images": ["1"]},
        "dog": {"type": "tag", "images": ["1", "2"]},
    },
    "folds.json": [["a dog runs ."], ["dog"], ["dog"]],
    "enhanced_queries.json": {"dog": ["A dog.", ". It barks."]},
    "flickr30k_test_captions.json": {"1.jpg": ["A dog ."]},
    "test_image_ids.json": [1, "2", "3"],
}


@pytest.fixture
def directory(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def test_queries_folds_and_descriptions_are_read(directory):
    data = load(directory)
    assert [(q.kind, q.relevant) for q in data.typed.queries] == [
        ("raw", {"1"}),
        ("tag", {"1", "2"}),
    ]
    assert data.typed.images == ("1", "2", "3")
    assert data.typed.folds == ((0,), (1,), (1,))
    assert data.captions == {"1": ("A dog .",)}
    assert data.descriptions == {"dog": ("A dog.", "It barks.")}


def test_what_is_missing_or_damaged_is_said(directory):
    (directory / "folds.json").write_text("[[")
    with pytest.raises(DataError, match=r"folds\.json is damaged"):
        load(directory)
    (directory / "folds.json").unlink()
    with pytest.raises(InputError, match=r"folds\.json is missing"):
        load(directory)
    (directory / "folds.json").write_text('[["nobody asked this"]]')
    with pytest.raises(DataError, match="as published"):
        load(directory)


def test_recall_is_capped_by_kind_and_in_folds(directory):
    typed = load(directory).typed
    relevant = relevant_matrix(typed)
    scores = np.array([[0.9, 0.1, 0.5], [0.9, 0.1, 0.5]])
    found = recalls(scores, relevant, (1, 2))
    assert found.tolist() == [[1, 1], [1, 0.5]]
    assert by_kind(found[:, 1], typed, KINDS) == {"raw": 1, "tag": 0.5}
    assert over_folds(found[:, 1], typed)[0] == pytest.approx((1 + 0.5 + 0.5) / 3)


@pytest.mark.skipif(not REAL.is_dir(), reason="the published files are not here")
def test_the_published_files():
    data = load(REAL)
    assert {kind: len(data.typed.of(kind)) for kind in KINDS} == dict.fromkeys(KINDS, 300)
    assert len(data.typed.images) == 1000
    folds = data.typed.folds
    assert [len(fold) for fold in folds] == [150] * 11
    assert sorted(i for fold in folds[:10] for i in fold) == list(range(1500))
    assert set(data.descriptions) == {query.text for query in data.typed.queries}
