import numpy as np
import pytest
from conftest import COLORS, RandomEncoder, make_table, spotted
from PIL import Image

from finesight.collection import Collection
from finesight.errors import InputError
from finesight.queries import parse_query
from finesight.search import retrieve
from finesight.types import WHOLE, Part, Query


def found(hits):
    return [hit.path.stem for hit in hits]


@pytest.fixture
def collection(folder, tmp_path, color_model):
    """The three images of one spot, and one with a red and a blue spot."""
    both = Image.open(spotted(folder / "both.png", "red"))
    both.paste(COLORS["blue"], (10, 10, 40, 40))
    both.save(folder / "both.png")
    made = Collection.open(tmp_path / "c", color_model)
    made.add([folder])
    return made


def test_a_hit_says_what_it_was_found_by(collection):
    hit = collection.search("red", k=1)[0]
    assert (hit.why, hit.part, hit.similar) == ("region", "red", ())
    (match,) = hit.matches
    assert (match.part, match.weight, match.score, match.box) == ("red", 1, hit.score, hit.box)
    assert collection.search("red", k=1, rank_by="fused")[0].why == "pooled"
    whole = collection.search("red", k=1, rank_by="whole")[0]
    assert (whole.why, whole.box) == ("whole", WHOLE)


def test_an_image_finds_itself(collection, folder):
    path = spotted(folder / "large.png", "green", spot=60)
    collection.add([folder])
    with Image.open(path) as image:
        pixels = image.copy()
    for asked in (path, pixels):
        hit = next(hit for hit in collection.search(asked, k=9) if hit.path == path)
        assert hit.score > 0.999
        assert (hit.why, hit.box) == ("whole", WHOLE)


def test_a_box_of_an_image_normalised_or_in_pixels(collection, folder):
    tight = (120 / 200, 100 / 160, 144 / 200, 124 / 160)
    for box in (tight, (120, 100, 144, 124)):
        query = Query((Part(image=folder / "blue.png", box=box),))
        assert set(found(collection.search(query, k=2))) == {"blue", "both"}
    whole = Query((Part(image=folder / "blue.png", box=(0, 0, 1, 1)),))
    first = collection.search(whole, k=1)[0]
    assert first.score == collection.search(folder / "blue.png", k=1)[0].score


def test_parts_add_up_each_by_its_own_region(collection):
    hit = collection.search(parse_query("red + blue"), k=1)[0]
    assert hit.path.stem == "both"
    assert [match.part for match in hit.matches] == ["red", "blue"]
    red, blue = (match.box for match in hit.matches)
    assert red[0] > blue[2] - 0.5
    assert red != blue
    assert hit.score == pytest.approx(np.mean([match.score for match in hit.matches]))
    assert hit.box == max(hit.matches, key=lambda match: match.score).box


def test_what_is_taken_away_sinks(collection):
    assert found(collection.search(parse_query("red - blue"), k=1)) == ["red"]
    assert found(collection.search(parse_query("blue - red"), k=1)) == ["blue"]
    hit = collection.search(parse_query("red - 0.5:blue"), k=1)[0]
    liked, disliked = hit.matches
    assert hit.score == pytest.approx((liked.score - 0.5 * disliked.score) / 1.5)
    assert hit.part == "red"


def test_weights_decide(collection):
    assert found(collection.search(parse_query("9:green + red"), k=1)) == ["green"]
    assert found(collection.search(parse_query("green + 9:red"), k=1))[0] in ("red", "both")
    one, three = collection.search("red", k=1)[0], collection.search(parse_query("3:red"), k=1)[0]
    assert (three.path, three.score) == (one.path, pytest.approx(one.score))


def test_near_leaves_the_image_out_and_needs_no_model(collection, folder, tmp_path):
    (folder / "copy.png").write_bytes((folder / "red.png").read_bytes())
    collection.add([folder])
    lazy = Collection.open(tmp_path / "c")  # a model of that name cannot be loaded
    hits = lazy.search(near=folder / "red.png", k=9)
    assert hits[0].path.stem == "copy"
    assert hits[0].score > 0.999
    assert "red" not in found(hits)
    assert len(hits) == 4
    mixed = collection.search("9:blue", near=folder / "red.png", k=9)
    assert [match.part for match in mixed[0].matches] == ["9:blue", "near red.png"]


def test_near_takes_a_relative_path(collection, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert "red" not in found(collection.search(near="red.png"))


def test_near_what_is_not_there(collection, tmp_path):
    with pytest.raises(InputError, match="not in the collection"):
        collection.search(near=tmp_path / "elsewhere.png")


@pytest.mark.parametrize("rank_by", ["regions", "exact", "fused", "whole", "mean"])
def test_filters_hold_before_the_best_are_taken(collection, folder, rank_by, monkeypatch):
    for number in range(4):
        spotted(folder / "large" / f"red{number}.png", "red", size=(400, 320))
    collection.add([folder])
    monkeypatch.setattr(retrieve, "_CANDIDATES", 1)
    monkeypatch.setattr(retrieve, "_MORE", 1)
    hits = collection.search("red", k=3, rank_by=rank_by, where="width >= 400")
    assert len(hits) == 3
    assert {hit.width for hit in hits} == {400}
    assert found(collection.search("red", k=1, rank_by=rank_by, path="gr*.png")) == ["green"]
    both = collection.search("red", k=9, rank_by=rank_by, path="large", where="path LIKE '%3.png'")
    assert found(both) == ["red3"]
    assert collection.search("red", rank_by=rank_by, where="width > 9999") == []


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("widht > 3", "widht.*columns id, path.* width"),
        ("width >", "cannot be used"),
        ("width > 1; drop table x", "one condition"),
        ("width", "boolean"),
        ("", "empty"),
        ("$1", "one condition"),
        ("width / (width - 200) > 1", "(?i)divide by zero"),
    ],
)
def test_filters_that_cannot_be_used(collection, where, message):
    with pytest.raises(InputError, match=message):
        collection.search("red", where=where)


def test_a_glob_that_cannot_be_read(collection):
    with pytest.raises(InputError, match="glob"):
        collection.search("red", path="[z-a]")


def test_pages_make_up_the_ranking(collection):
    whole = collection.search("red", k=4)
    pages = [*collection.search("red", k=2), *collection.search("red", k=2, offset=2)]
    assert pages == whole
    assert [hit.rank for hit in pages] == [1, 2, 3, 4]
    assert collection.search("red", k=2, offset=4) == []


def test_candidates_grow_by_doubling():
    assert [retrieve.candidates(n) for n in (1, 10, 11, 20, 21)] == [100, 100, 200, 200, 400]


def test_near_duplicates_stand_behind_the_best(collection, folder):
    for number in range(5):
        (folder / f"copy{number}.png").write_bytes((folder / "red.png").read_bytes())
    spotted(folder / "other.png", "red", size=(100, 90), spot=70)
    collection.add([folder])
    plain = collection.search("red", k=9, rank_by="whole")
    grouped = collection.search("red", k=9, rank_by="whole", group=True)
    assert len(grouped) < len(plain)
    assert [hit.rank for hit in grouped] == list(range(1, len(grouped) + 1))
    copies = next(hit for hit in grouped if hit.similar and hit.path.stem in ("red", "copy0"))
    assert {path.stem for path in copies.similar} >= {f"copy{n}" for n in range(1, 5)}
    pages = [
        hit
        for offset in range(len(grouped))
        for hit in collection.search("red", k=1, rank_by="whole", group=True, offset=offset)
    ]
    assert found(pages) == found(grouped)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("missing.png", "no image missing.png"),
        ("broken.png", "broken.png: "),
        ("red.png@0,0,900,900", "200 x 160 pixels"),
    ],
)
def test_images_that_cannot_be_asked_for(collection, folder, monkeypatch, typed, message):
    monkeypatch.chdir(folder)
    (folder / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=message):
        collection.search(parse_query(typed))


def test_names_count_as_words(collection, folder):
    spotted(folder / "zebra" / "holiday_in-Rome.png", "green", spot=2)
    collection.add([folder])
    assert found(collection.search("red holidays", k=9))[-1] == "holiday_in-Rome"
    hits = collection.search("red holidays", k=9, words=True)
    named = next(hit for hit in hits if hit.path.stem == "holiday_in-Rome")
    assert named.rank <= 2
    assert named.why == "words"
    # The second by its name, the last of five by what is in it.
    assert named.score == pytest.approx(1 / (60 + 2) + 1 / (60 + 5))
    assert named.matches[0].part == "red holidays"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.path for hit in hits}) == len(hits) == 5
    filtered = collection.search("red holidays", words=True, path="zebra")
    assert found(filtered) == ["holiday_in-Rome"]
    grouped = collection.search("red holidays", k=9, words=True, group=True)
    together = [path for hit in grouped for path in (hit.path, *hit.similar)]
    assert sorted(together) == sorted(hit.path for hit in hits)
    nothing = collection.search("red", words=True, k=9, rank_by="whole")
    assert len(nothing) == 5


def test_words_need_words(collection, folder):
    with pytest.raises(InputError, match="no words"):
        collection.search(near=folder / "red.png", words=True)
    with pytest.raises(InputError, match="no words"):
        collection.search(parse_query([str(folder / "red.png"), "-", "mug"]), words=True)


def test_a_search_is_a_mean_over_regions(tmp_path, random_model):
    """Beside a slow reference on random embeddings."""
    rng = np.random.default_rng(0)
    embeddings = make_table(tmp_path / "c", random_model, rng)
    query = Query((Part(text="a"), Part(text="bb", weight=2), Part(text="ccc", weight=-1)))
    vectors = RandomEncoder().encode_texts(["a", "bb", "ccc"])
    slow = {
        name: float((np.array([1, 2, -1]) / 4) @ (vectors @ each.T).max(axis=1))
        for name, each in embeddings.items()
    }
    hits = Collection.open(tmp_path / "c", random_model).search(query, k=7, rank_by="exact")
    assert [hit.path.name for hit in hits] == sorted(slow, key=lambda name: -slow[name])[:7]
    np.testing.assert_allclose([h.score for h in hits], sorted(slow.values())[::-1][:7], atol=2e-3)
