"""Relevance, parts and descriptions through a collection of synthetic regions."""

import hashlib

import numpy as np
import pytest

from finesight.collection import Collection
from finesight.encoders import Preprocessing
from finesight.errors import InputError
from finesight.indexing.up_to_date import update_active
from finesight.models import Model
from finesight.scoring.similarity import normalise
from finesight.search.score import Ranking
from finesight.store.calibration import calibration_file, load_calibrator
from finesight.store.schema import Record
from finesight.types import ImageVectors, Part, Query

THINGS = ("mug", "chair", "lamp", "table", "sofa", "clock")
COLORS = ("red", "blue", "green")
TEXTS = (*THINGS, *(f"{color} {thing}" for color in COLORS for thing in THINGS))
NAMES = (*THINGS, *COLORS)


class WordEncoder:
    """Embeds a text as the sum of its words' axes; words that it does not know have none."""

    preprocessing = Preprocessing(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    width = 16
    longest_text = 8

    def encode_texts(self, texts):
        return normalise(np.stack([vector(text.split()) for text in texts]))

    def reads_whole(self, text):
        return len(text.split()) <= self.longest_text

    def unknown_words(self, text):
        return [word for word in text.split() if word.lower() not in NAMES]


def vector(words):
    out = np.full(16, 0.05)
    for word in words:
        if word.lower() in NAMES:
            out[NAMES.index(word.lower())] += 1
    return out


@pytest.fixture
def model():
    encoder = WordEncoder()
    return Model("words", "words", encoder, "{}", "cc5", "a" * 16, background=TEXTS, vectors=3)


def add_scenes(collection, scenes, start=0):
    """Write images of (words, box) things; a whole image is the sum of what is in it."""
    rng = np.random.default_rng(start)
    records = []
    for number, things in enumerate(scenes, start):
        words = [phrase.split() for phrase, _ in things]
        noise = rng.normal(0, 0.06, (len(things) + 1, 16))
        rows = np.stack([vector([word for each in words for word in each]), *map(vector, words)])
        embeddings = normalise(normalise(rows) + noise)
        boxes = np.array([(0, 0, 1, 1), *(box for _, box in things)], np.float32)
        seen = ImageVectors(boxes, embeddings)
        name = hashlib.sha256(str(number).encode()).hexdigest()
        path = collection.directory / f"{number:04}.png"
        records.append(Record(name[:16], path, name, 1, 1, 100, 100, "cc5", seen, embeddings[:3]))
    collection._folder.table().insert(records)


LEFT, RIGHT = (0.1, 0.4, 0.3, 0.6), (0.7, 0.4, 0.9, 0.6)


@pytest.fixture
def collection(tmp_path, model):
    """120 scenes of two things; no clock, no green lamp; one red mug left of a blue chair."""
    made = Collection.open(tmp_path / "c", model)
    made.directory.mkdir()
    update_active(made._folder, made.model, "cc5", 3)
    rng = np.random.default_rng(7)
    pool = [t for t in TEXTS if " " in t and "clock" not in t and t != "green lamp"]
    pool = [t for t in pool if t not in ("red mug", "blue chair")]
    scenes = [
        [(str(t), b) for t, b in zip(rng.choice(pool, 2), (LEFT, RIGHT), strict=True)]
        for _ in range(120)
    ]
    scenes[5] = [("red mug", LEFT), ("blue chair", RIGHT)]
    scenes[6] = [("blue chair", LEFT), ("red mug", RIGHT)]
    scenes[7] = [("blue mug", LEFT), ("red chair", RIGHT)]
    scenes[8] = [("red mug", LEFT), ("red mug", RIGHT)]
    add_scenes(made, scenes)
    made.optimize(["mug"])
    return made


def numbers(hits):
    return [int(hit.path.stem) for hit in hits]


def test_what_is_there_is_relevant_and_what_is_not_is_not(collection):
    assert collection.search("red mug", k=1)[0].relevance > 0.9
    assert max(hit.relevance for hit in collection.search("clock")) < 0.25
    assert max(hit.relevance for hit in collection.search("green lamp")) < 0.25


def test_a_least_relevance_leaves_out_the_rest(collection):
    found = collection.search("red mug", min_relevance=0.5)
    assert sorted(numbers(found)) == [5, 6, 8]
    assert [hit.rank for hit in found] == [1, 2, 3]
    assert numbers(collection.search("red mug", 1, min_relevance=0.5, offset=1)) == numbers(
        found[1:2]
    )
    assert collection.search("clock", min_relevance=0.5) == []


def test_words_that_the_model_does_not_know_are_not_found(collection):
    assert [hit.relevance for hit in collection.search("zebra", k=3)] == [0.0] * 3
    assert collection.search("striking red mug", k=1)[0].relevance > 0.5


def test_pictures_have_no_relevance(collection):
    query = Query((Part(near=collection.directory / "0005.png"),))
    assert collection.search(query, k=1)[0].relevance is None
    with pytest.raises(InputError, match="texts alone"):
        collection.search(query, min_relevance=0.5)
    both = Query((*query.parts, Part(text="red mug")))
    matches = collection.search(both, k=1)[0].matches
    assert matches[0].relevance is None and matches[1].relevance is not None


def test_a_text_of_several_things_finds_images_with_all_of_them(collection):
    hits = collection.search("a red mug left of a blue chair", k=3)
    assert numbers(hits)[:2] == [5, 6]
    parts = [(m.part, tuple(np.round(m.box, 2))) for m in hits[0].matches]
    assert parts == [("red mug", LEFT), ("blue chair", RIGHT)]
    assert numbers(collection.search("a red mug right of a blue chair", k=1)) == [6]
    assert hits[0].relevance > 0.8 > hits[2].relevance


def test_two_of_one_kind_need_two_regions(collection):
    assert numbers(collection.search("a red mug beside a red mug", k=1)) == [8]


def test_what_is_unwanted_sinks(collection):
    hits = collection.search("red mug without blue chair", k=3)
    assert numbers(hits)[0] == 8
    assert hits[0].matches[1].weight < 0


def test_a_query_can_be_left_whole(collection):
    hit = collection.search("red mug and blue chair", k=1, split="off")[0]
    assert len(hit.matches) == 1
    whole = collection.search("red mug and blue chair", k=1, rank_by="whole")[0]
    assert len(whole.matches) == 1


def test_descriptions_say_what_the_query_does_not(collection):
    assert set(numbers(collection.search("crimson cup", 3, descriptions=["red mug"]))) == {5, 6, 8}
    for fusion in ("mean", "votes", "two-stage", "trusted"):
        found = collection.search("red mug", 3, descriptions=["red mug"], rank_fusion=fusion)
        assert set(numbers(found)) == {5, 6, 8}
        assert found[0].matches[0].part == "red mug"


def test_wrong_descriptions_do_no_harm_to_a_query_that_is_answered(collection):
    wrong = ["green table", "blue sofa", "green sofa"]
    assert set(numbers(collection.search("red mug", 3, descriptions=wrong))) == {5, 6, 8}
    spoilt = collection.search("red mug", 3, descriptions=wrong, rank_fusion="mean")
    assert set(numbers(spoilt)) != {5, 6, 8}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"split": "maybe"}, "auto or off"),
        ({"min_relevance": 1.5}, "between 0 and 1"),
        ({"rank_fusion": "best"}, "trusted, mean, votes, two-stage"),
        ({"descriptions": ["mug"], "words": True}, "one text"),
    ],
)
def test_wrong_arguments_are_refused(collection, how, message):
    with pytest.raises(InputError, match=message):
        collection.search("mug", **how)


def test_a_collection_that_has_not_learned_says_so(collection):
    calibration_file(collection.table().path).unlink()
    again = Collection.open(collection.directory, collection.model)
    assert again.search("red mug", k=1)[0].relevance is None
    assert len(again.search("red mug and blue chair", k=1)[0].matches) == 1
    with pytest.raises(InputError, match="finesight optimize"):
        again.search("red mug", min_relevance=0.5)


def test_a_damaged_estimate_counts_as_none(collection):
    file = calibration_file(collection.table().path)
    assert load_calibrator(file).images == 120
    file.write_bytes(file.read_bytes()[:50])
    assert load_calibrator(file) is None


def test_indexing_learns_anew_when_the_collection_has_grown(store, folder, tmp_path):
    store.add([folder])
    first = load_calibrator(calibration_file(store.table().path))
    assert first is not None and first.images == 3
    (folder / "more.png").write_bytes((folder / "red.png").read_bytes())
    store.add([folder])
    assert load_calibrator(calibration_file(store.table().path)).images == 4


def test_more_hits_are_ranked_until_enough_are_relevant(store, folder, monkeypatch):
    """Every third of 20 images is relevant: ranked deeper until the last half brings nothing."""
    store.add([folder])
    asked = []

    def rank(searched, request, query, k, where):
        asked.append(k)
        many = np.arange(min(k, 20))
        return Ranking(
            many.astype(np.uint64),
            1 - many / 20,
            many[None],
            many[None],
            np.zeros((0, len(many))),
            many > 99,
        )

    def relevances(snapshot, query, row_ids):
        return np.where((np.asarray(row_ids, int) + 1) % 3 == 0, 0.9, 0.1)[None]

    def build(snapshot, request, query, page, similar):
        return page.row_ids.tolist()

    for name, stand_in in (("rank", rank), ("relevances", relevances), ("build_hits", build)):
        monkeypatch.setattr(f"finesight.search.pipeline.{name}", stand_in)
    assert store.search("red", k=4, min_relevance=0.5) == [2, 5, 8, 11]
    assert asked == [8, 16]
    assert store.search("red", k=50, min_relevance=0.5) == [2, 5, 8, 11, 14, 17]
