import lance
import numpy as np
import pytest
from conftest import make_table

from finesight.collection import Collection
from finesight.errors import InputError
from finesight.queries.everyday import everyday_queries
from finesight.search.tune import exact_best, recall, some_texts
from finesight.store.snapshot import Snapshot
from finesight.store.table import ImageTable


@pytest.fixture
def few(monkeypatch):
    for room in ("store.snapshot", "store.upkeep", "search.retrieve"):
        monkeypatch.setattr(f"finesight.{room}.FLAT", 100)
    monkeypatch.setattr("finesight.search.retrieve._CANDIDATES", 40)
    monkeypatch.setattr("finesight.search.retrieve._MORE", 1)


def test_few_vectors_are_scanned_and_the_search_measured(tmp_path, random_model, monkeypatch):
    make_table(tmp_path / "c", random_model, np.random.default_rng(0), 60)
    collection = Collection.open(tmp_path / "c", random_model)
    assert collection.optimize().recall == 1  # all images are candidates
    monkeypatch.setattr("finesight.search.retrieve._CANDIDATES", 20)
    monkeypatch.setattr("finesight.search.retrieve._MORE", 1)
    report = collection.optimize(["a", "b", "c"])
    assert (report.images, report.vectors, report.queries) == (60, 120, 3)
    assert (report.settings, report.chosen) == ((), None)
    assert 0 < report.recall < 1
    exact = [{h.path for h in collection.search(t, 10, "exact")} for t in "abc"]
    found = [{h.path for h in collection.search(t, 10)} for t in "abc"]
    same = sum(len(a & b) for a, b in zip(exact, found, strict=True)) / 30
    assert report.recall == pytest.approx(same)


def test_an_index_is_tuned_until_texts_find_enough(tmp_path, random_model, few):
    make_table(tmp_path / "c", random_model, np.random.default_rng(0), 900, 2)
    collection = Collection.open(tmp_path / "c", random_model)
    said = []
    report = collection.optimize(recall=0.9, say=said.append)
    assert any("index" in line for line in said)
    asked = [setting.asked for setting in report.settings]
    assert asked == sorted(set(asked))
    assert all(setting.recall < 0.9 for setting in report.settings[:-1])
    assert report.chosen == report.settings[-1]
    assert report.chosen.recall >= 0.9
    assert collection._reader.snapshot().indexed.asked == report.chosen.asked
    assert 0.8 < report.recall <= 1


def test_the_exact_best_equal_a_loop(tmp_path, random_model):
    embeddings = make_table(tmp_path / "c", random_model, np.random.default_rng(0), 30)
    snapshot = Collection.open(tmp_path / "c", random_model)._reader.snapshot()
    queries = random_model.encoder.encode_texts(["a", "b"])
    names = snapshot.table.read(columns=["path"], with_row_id=True).to_pylist()
    name_of = {row["_rowid"]: row["path"].rpartition("/")[2] for row in names}
    for query, rows in zip(queries, exact_best(snapshot, queries, "regions"), strict=True):
        slow = sorted(embeddings, key=lambda name: -(embeddings[name] @ query).max())[:10]
        assert [name_of[row] for row in rows.tolist()] == slow


def test_recall_by_hand():
    assert recall([np.array([1, 2]), np.array([9])], np.array([[1, 2], [3, 9]])) == 0.75


def test_texts_come_from_captions_where_there_are_any(tmp_path):
    plain = lance.write_dataset({"path": ["a"]}, str(tmp_path / "plain"))
    assert some_texts(Snapshot(ImageTable(plain))) == everyday_queries(200)
    captions = ["a cat", "", None, "a cat", "two dogs"]
    told = lance.write_dataset({"caption": captions}, str(tmp_path / "told"))
    assert some_texts(Snapshot(ImageTable(told))) == ["a cat", "two dogs"]


def test_everyday_queries_differ():
    texts = everyday_queries(400)
    assert len(set(texts)) == 400
    assert all("-" not in text for text in texts)


def test_nothing_to_optimize(tmp_path, random_model):
    with pytest.raises(InputError, match="nothing to optimize"):
        Collection.open(tmp_path / "c", random_model).optimize()
