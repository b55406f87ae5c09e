import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_table, spotted
from item_heads import color_items, mini_with_items
from PIL import Image

from finesight.collection import Collection
from finesight.errors import InputError
from finesight.models import load_model
from finesight.queries import SearchRequest, parse_query
from finesight.scoring.similarity import ITEM_SHARPNESS, normalise
from finesight.search.encode import QueryVectors
from finesight.search.pipeline import Searchable, rank
from finesight.types import Part, Query


@pytest.fixture
def model(tmp_path, color_model):
    """A model whose items are what is red and green about a region; blue does not count."""
    return replace(color_model, item_head=color_items(tmp_path / "bundle"))


@pytest.fixture
def collection(folder, tmp_path, model):
    made = Collection.open(tmp_path / "c", model)
    made.add([folder])
    return made


def test_the_region_with_the_thing_is_the_hit(collection, folder):
    """A red spot of another photo is found by a box, not by how the photo looks as a whole."""
    other = spotted(folder / "asked" / "other.png", "red", size=(300, 300), spot=90)
    asked = Query((Part(image=other, box=(120, 100, 210, 190)),))
    hits = collection.search(asked, k=3, item=True)
    assert hits[0].path.name == "red.png"
    x0, y0, x1, y1 = hits[0].box
    assert x0 <= 132 / 200 <= x1 and y0 <= 112 / 160 <= y1
    assert hits[0].why == "region" and 0.9 < hits[0].matches[0].score <= hits[0].score
    assert [hit.rank for hit in hits] == [1, 2, 3]


def test_a_photo_alone_is_its_own_box_and_pages_go_on(collection, folder):
    found = collection.search(folder / "green.png", k=3, item=True)
    whole = Query((Part(image=folder / "green.png", box=(0, 0, 1, 1)),))
    assert [h.score for h in collection.search(whole, k=3, item=True)] == [h.score for h in found]
    rest = collection.search(folder / "green.png", k=1, offset=1, item=True)
    assert [hit.path for hit in rest] == [found[1].path] and rest[0].rank == 2


def test_an_indexed_photo_is_not_its_own_answer(collection, folder):
    hits = collection.search(near=folder / "green.png", k=3, item=True)
    assert {hit.path.name for hit in hits} == {"red.png", "blue.png"}


def rank_items(snapshot, query, k, rank_by, head, where=None):
    model = SimpleNamespace(need_item_head=lambda: head)
    searched = Searchable(Path("c"), snapshot, lambda: model, "full")
    shown = Part(image=Image.new("RGB", (8, 8)))
    return rank(searched, SearchRequest((shown,), rank_by=rank_by, item=True), query, k, where)


def slow_scores(head, asked, regions):
    """The soft maximum over regions, image by image and region by region."""
    query = head(asked[None])[0]
    scores = {}
    for name, seen in regions.items():
        stored = normalise(seen.astype(np.float16))
        cosines = [float(head(region[None])[0] @ query) for region in stored]
        total = sum(math.exp(ITEM_SHARPNESS * cosine) for cosine in cosines)
        scores[name] = math.log(total) / ITEM_SHARPNESS
    return scores


@pytest.mark.parametrize("most", [2, 6])
def test_scores_are_those_of_a_slow_reference(tmp_path, random_model, most):
    rng = np.random.default_rng(0)
    regions = make_table(tmp_path / "c", random_model, rng, images=40, most=most)
    mixing = rng.normal(size=(8, 5)).astype(np.float32)

    def head(embeddings):
        return normalise(embeddings @ mixing)

    snapshot = Collection.open(tmp_path / "c", random_model)._reader.snapshot()
    query = QueryVectors.of_text(random_model.encoder.encode_texts(["anything"])[0])
    scores = slow_scores(head, query.vectors[0], regions)
    for rank_by in ("exact", "regions"):  # fewer images than candidates: both are exact
        best = rank_items(snapshot, query, 7, rank_by, head)
        paths = snapshot.paths(best.row_ids)
        assert [path.split("/")[-1] for path in paths] == sorted(scores, key=scores.get)[:-8:-1]
        assert best.scores == pytest.approx(sorted(scores.values())[:-8:-1])


def test_only_the_nearest_images_are_compared_unless_all_are_asked(
    tmp_path, random_model, monkeypatch
):
    rng = np.random.default_rng(1)
    made = make_table(tmp_path / "c", random_model, rng, images=300)
    regions = sum(map(len, made.values()))
    snapshot = Collection.open(tmp_path / "c", random_model)._reader.snapshot()
    query = QueryVectors.of_text(random_model.encoder.encode_texts(["x"])[0])
    seen = []

    def head(embeddings):
        seen.append(len(embeddings))
        return embeddings

    def rank(rank_by, where=None):
        return rank_items(snapshot, query, 3, rank_by, head, where)

    rank("regions")
    assert max(seen[2:]) < 0.8 * regions  # after the query and the fused vectors
    before, seen[:] = len(seen), []
    rank("regions")
    assert len(seen) == before - 1  # the fused vectors are known as items now
    seen[:] = []
    rank("exact")
    assert sum(seen) == regions + 1
    some = rank("regions", "path LIKE '%1.png'")
    assert all(path.endswith("1.png") for path in snapshot.paths(some.row_ids))


def test_of_many_vectors_candidates_come_by_the_encoder(tmp_path, random_model, monkeypatch):
    """Their index knows no items; the regions of the candidates are compared as ever."""
    monkeypatch.setattr("finesight.store.snapshot.FLAT", 100)
    rng = np.random.default_rng(1)
    made = make_table(tmp_path / "c", random_model, rng, images=300)
    snapshot = Collection.open(tmp_path / "c", random_model)._reader.snapshot()
    query = QueryVectors.of_text(random_model.encoder.encode_texts(["x"])[0])
    known = []

    def head(embeddings):
        known.append(len(embeddings))
        return embeddings

    best = rank_items(snapshot, query, 3, "regions", head)
    assert len(known) == 2  # the query, and the candidates' regions in one batch
    scores = slow_scores(head, query.vectors[0], made)
    assert best.scores[0] == pytest.approx(max(scores.values()), abs=1e-3)


@pytest.mark.parametrize(
    ("asked", "options", "reason"),
    [
        ("red", {}, "give one photo of it"),
        ("photo.png + blue.png", {}, "give one photo of it"),
        ("photo.png", {"rank_by": "fused"}, "found by regions"),
        ("photo.png", {"detail": 0.5}, "a detail below 1 is for texts"),
        ("photo.png", {"rerank": "adapt"}, "--rerank is for texts"),
    ],
)
def test_what_does_not_show_one_thing_is_refused(collection, asked, options, reason):
    with pytest.raises(InputError, match=reason):
        collection.search(parse_query(asked), item=True, **options)


@pytest.mark.parametrize(
    ("box", "reason"),
    [((0, 0, 500, 20), "give one inside it"), ((0.5, 0.5, 0.5, 0.9), "x0 < x1 and y0 < y1")],
)
def test_a_wrong_box_is_refused(collection, folder, box, reason):
    with pytest.raises(InputError, match=reason):
        collection.search(Query((Part(image=folder / "red.png", box=box),)), item=True)


def test_a_model_without_a_head_says_what_makes_one(folder, tmp_path, color_model):
    made = Collection.open(tmp_path / "c", color_model)
    made.add([folder])
    with pytest.raises(InputError, match="finesight train items --model colors"):
        made.search(folder / "red.png", item=True)


def test_a_bundle_is_read_with_its_head(tmp_path):
    model = load_model(str(mini_with_items(tmp_path / "mini")))
    assert model.need_item_head()(np.eye(128, dtype=np.float32)[:2]).shape == (2, 128)


def test_indexing_with_a_model_that_tells_more_makes_it_the_collections(
    folder, tmp_path, color_model, model, monkeypatch
):
    """A trained head is of the same encoder: nothing is looked at anew."""
    Collection.open(tmp_path / "c", color_model).add([folder])
    told = replace(model, source="told")
    report = Collection.open(tmp_path / "c", told).add([folder])
    assert report.indexed == 0
    monkeypatch.setattr("finesight.search.reader.load_model", lambda source: {"told": told}[source])
    spot = Query((Part(image=folder / "red.png", box=(120, 100, 144, 124)),))
    hits = Collection.open(tmp_path / "c").search(spot, k=1, item=True)
    assert hits[0].path.name == "red.png"
