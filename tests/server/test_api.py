"""What the HTTP API answers."""

import io
import json
import threading
from pathlib import Path

import pytest
from conftest import COLORS, spotted
from PIL import Image

from finesight.collection import Collection
from finesight.indexing.progress import PROGRESS
from finesight.server.settings import Settings

from .conftest import serving


def names(answer):
    return [hit["path"] for hit in answer["hits"]]


def form(*files, query="{}"):
    """Return headers and body of a multipart request."""
    parts = [b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\n' + query.encode()]
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    parts += [head + data for data in files]
    body = b"\r\n".join(parts) + b"\r\n--x--\r\n"
    return {"body": body, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}


def square(color, side=32):
    file = io.BytesIO()
    Image.new("RGB", (side, side), COLORS[color]).save(file, "PNG")
    return file.getvalue()


def test_a_text_finds_images_with_their_boxes(served):
    found = served.search(text="red", k=2)
    assert sorted(names(found)) == ["large/red 'quoted'.png", "small/red.png"]
    assert (found["collection"], found["images"], found["more"]) == ("pics", 6, True)
    (small,) = [hit for hit in found["hits"] if hit["path"] == "small/red.png"]
    x0, y0, x1, y1 = small["box"]
    assert x0 <= 132 / 200 <= x1
    assert y0 <= 112 / 160 <= y1
    assert small["why"] == "region"
    assert small["matches"][0]["part"] == "red"
    assert (small["width"], small["height"]) == (200, 160)


def test_the_answer_is_what_the_collection_answers(served, collection):
    for rank_by in ("regions", "exact", "fused", "whole", "mean"):
        hits = collection.search("green", 6, rank_by)
        found = served.search(text="green", k=6, rank_by=rank_by)["hits"]
        assert [hit["id"] for hit in found] == [hit.id for hit in hits]
        assert [hit["score"] for hit in found] == pytest.approx([h.score for h in hits], abs=1e-5)


def test_detail_none_is_whole_image_search(served, collection):
    hits = collection.search("blue", 6, "whole")
    found = served.search(text="blue", k=6, detail=0)["hits"]
    assert [hit["id"] for hit in found] == [hit.id for hit in hits]
    assert all(hit["box"] == [0, 0, 1, 1] for hit in found)


def test_compare_says_where_the_whole_image_would_stand(served, collection):
    ranks = {hit.id: hit.rank for hit in collection.search("red", 6, "whole")}
    found = served.search(text="red", k=6, compare=True)["hits"]
    assert {hit["id"]: hit["whole_rank"] for hit in found} == ranks
    assert served.search(text="red", k=1)["hits"][0]["whole_rank"] is None


def test_negatives_sink(served):
    plain = served.search(text="red", k=6)
    parts = [{"text": "red"}, {"text": "blue", "weight": -1}]
    against = served.search(parts=parts, k=6)
    assert names(against)[-1] in ("small/blue.png", "large/blue 'quoted'.png")
    assert against["hits"][0]["score"] < plain["hits"][0]["score"]
    assert [match["weight"] for match in against["hits"][0]["matches"]] == [1, -1]


def test_pages_fit_together(served):
    all_of_them = names(served.search(text="red", k=6))
    pages = [served.search(text="red", k=2, offset=offset) for offset in (0, 2, 4)]
    assert [name for page in pages for name in names(page)] == all_of_them
    assert [page["more"] for page in pages] == [True, True, False]
    assert [hit["rank"] for hit in pages[1]["hits"]] == [3, 4]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"folder": "small"}, ["small/red.png"]),
        ({"path": "large/*"}, ["large/red 'quoted'.png"]),
        ({"shape": "portrait"}, ["large/red 'quoted'.png"]),
        ({"min_width": 200}, ["small/red.png"]),
        ({"max_height": 170, "shape": "landscape"}, ["small/red.png"]),
        ({"folder": "no'where"}, []),
        ({"folder": "../small"}, []),
        ({"taken_to": "2024-05-31"}, []),
        ({"camera": "x' OR 'a' = 'a"}, []),
    ],
)
def test_filters(served, filters, expected):
    assert names(served.search(text="red", k=6, filters=filters))[:1] == expected


def test_globs_are_meant_below_the_collections_root(served, spots):
    above = spots.parent.name
    assert names(served.search(text="red", filters={"path": f"{above}/**"})) == []
    assert served.ask(f"/images?path={above}").json()["images"] == []
    anchored = served.search(text="red", filters={"path": "/small/*.png"})
    assert {Path(name).parent.name for name in names(anchored)} == {"small"}
    listed = served.ask("/images?path=/small/*.png").json()["images"]
    assert [Path(image["path"]).parent.name for image in listed] == ["small"] * 3


def test_filters_on_metadata_and_words_of_captions(served, collection, tmp_path):
    for name, color in (("a.png", "red"), ("b.png", "blue")):
        spotted(tmp_path / "labelled" / name, color)
    lines = [
        {"file_name": "a.png", "author": "Ann", "text": "a quiet harbour", "tags": ["sea", "calm"]},
        {"file_name": "b.png", "author": "Bo"},
    ]
    (tmp_path / "labelled" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    collection.add([tmp_path / "labelled"])
    for metadata, expected in (
        ({"author": "Ann"}, ["a.png"]),
        ({"tags": "sea"}, ["a.png"]),
        ({"author": "Ann", "tags": "storm"}, []),
        ({"author": "x' OR 'a' = 'a"}, []),
    ):
        found = served.search(text="red", filters={"metadata": metadata})
        assert [Path(name).name for name in names(found)] == expected
    listed = served.ask("/images?metadata=author%3DBo").json()["images"]
    assert [Path(image["path"]).name for image in listed] == ["b.png"]
    by_words = served.search(text="harbour", words=True, k=1)["hits"][0]
    assert (Path(by_words["path"]).name, by_words["why"]) == ("a.png", "words")


def test_the_options_of_a_search_reach_the_collection(served, collection):
    for options in (
        {"prompts": True},
        {"split": "off"},
        {"descriptions": ["green", "a green thing"], "rank_fusion": "votes"},
        {"rank_by": "pooled"},
        {"rank_by": "global", "offset": 2},
    ):
        hits = collection.search("green", k=4, **options)
        assert [hit["id"] for hit in served.search(text="green", k=4, **options)["hits"]] == [
            hit.id for hit in hits
        ]
    first = served.search(text="green", k=1)["hits"][0]["id"]
    near = served.search(near=first, k=4)
    assert names(near) == names(served.search(parts=[{"image": first}], k=4))
    refused = served.ask("/search", {"text": "red", "rerank": "none"})
    assert (refused.status, "matcher" in refused.json()["detail"]) == (422, True)


def test_ten_hits_unless_more_are_asked_for(served, collection, tmp_path):
    for number in range(6):
        spotted(tmp_path / "more" / f"{number}.png", "green", spot=30 + number)
    collection.add([tmp_path / "more"])
    assert len(served.search(text="green")["hits"]) == 10


def test_filters_on_the_day_and_the_camera(served, collection, tmp_path):
    exif = Image.Exif()
    exif[0x0132], exif[0x010F], exif[0x0110] = "2024:06:01 23:30:00", "Canon", "Canon EOS R5"
    path = spotted(tmp_path / "dated" / "dated.jpg", "red")
    Image.open(path).save(path, exif=exif)
    collection.add([path.parent])
    for filters, found in (
        ({"taken_from": "2024-06-01"}, True),
        ({"taken_to": "2024-06-01", "camera": "eos r5"}, True),
        ({"taken_from": "2024-06-02"}, False),
        ({"taken_to": "2024-05-31"}, False),
        ({"camera": "nikon"}, False),
    ):
        hits = names(served.search(text="red", k=6, filters=filters))
        assert [Path(name).name for name in hits] == ["dated.jpg"] * found
    refused = served.ask("/search", {"text": "red", "filters": {"taken_from": "2024-13-40"}})
    assert refused.status == 422


def test_an_uploaded_image_and_a_box_of_it(served):
    answer = served.ask("/search", **form(square("green"), query='{"k": 2}'))
    assert answer.status == 200, answer.body
    assert {Path(name).stem[:5] for name in names(answer.json())} == {"green"}
    both = Image.new("RGB", (40, 20), COLORS["blue"])
    both.paste(COLORS["red"], (20, 0, 40, 20))
    file = io.BytesIO()
    both.save(file, "PNG")
    query = json.dumps({"k": 2, "parts": [{"upload": 0, "box": [0.5, 0, 1, 1]}]})
    answer = served.ask("/search", **form(file.getvalue(), query=query))
    assert {Path(name).stem[:3] for name in names(answer.json())} == {"red"}


def test_an_image_of_the_collection_and_a_box_of_it(served):
    (hit,) = served.search(text="green", k=1, filters={"folder": "small"})["hits"]
    near = served.search(parts=[{"image": hit["id"]}], k=6)
    assert hit["path"] not in names(near)
    box = [0.6, 0.625, 0.72, 0.775]  # the spot
    found = served.search(parts=[{"image": hit["id"], "box": box}], k=2)
    assert {Path(name).stem[:5] for name in names(found)} == {"green"}


def test_near_duplicates_stand_behind_the_best(served):
    whole = served.search(text="red", k=6)
    grouped = served.search(text="red", k=6, group=True)
    assert len(grouped["hits"]) < len(whole["hits"])
    behind = [path for hit in grouped["hits"] for path in hit["similar"]]
    assert sorted(behind + names(grouped)) == sorted(names(whole))


def test_pictures_have_the_size_asked_for_and_nothing_but_pixels(served):
    (hit,) = served.search(text="red", k=1, filters={"folder": "small"})["hits"]
    answer = served.ask(f"/images/{hit['id']}?size=100")
    assert answer.headers["Content-Type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(answer.body))
    assert picture.size == (100, 80)
    assert not picture.getexif()
    cut = served.ask(f"/images/{hit['id']}?box=0.6,0.625,0.72,0.775")
    picture = Image.open(io.BytesIO(cut.body))
    assert picture.size == (24, 24)  # never made larger than it is
    assert picture.getpixel((12, 12)) == pytest.approx(COLORS["red"], abs=12)
    tag = answer.headers["ETag"]
    again = served.ask(f"/images/{hit['id']}?size=100", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")


def test_a_picture_of_a_changed_or_vanished_file(served, spots, collection, tmp_path):
    extra = spotted(spots / "extra.png", "red")
    try:
        collection.add([spots])
        (hit,) = served.search(text="red", k=1, filters={"path": "extra.png"})["hits"]
        first = served.ask(f"/images/{hit['id']}")
        spotted(extra, "blue", spot=90)
        assert served.ask(f"/images/{hit['id']}").headers["ETag"] != first.headers["ETag"]
        extra.write_bytes(b"no image any more")
        assert served.ask(f"/images/{hit['id']}").status == 404
    finally:
        extra.unlink()
    answer = served.ask(f"/images/{hit['id']}")
    assert answer.status == 404
    assert str(spots) not in answer.body.decode()


def test_listing(served):
    first = served.ask("/images?k=4").json()
    rest = served.ask("/images?k=4&offset=4").json()
    assert (len(first["images"]), first["more"]) == (4, True)
    assert (len(rest["images"]), rest["more"]) == (2, False)
    assert len({image["id"] for image in first["images"] + rest["images"]}) == 6
    only = served.ask("/images?folder=small").json()["images"]
    assert {Path(image["path"]).parent.name for image in only} == {"small"}


def test_status_and_collections(served, collection):
    state = served.ask("/status").json()
    assert (state["name"], state["images"], state["model"]) == ("pics", 6, "colors")
    assert state["indexing"] is None
    folders = {folder["path"]: folder["images"] for folder in state["folders"]}
    assert folders == {"small": 3, "large": 3}
    (collection.directory / PROGRESS).write_text('{"done": 7, "total": 9}')
    assert served.ask("/status").json()["indexing"] == {"done": 7, "total": 9}
    assert served.ask("/collections").json() == [{"name": "pics", "images": 6, "model": "colors"}]
    assert served.ask("/health").json() == {"status": "ok"}


def test_what_is_indexed_meanwhile_is_found(served, spots, collection):
    before = served.ask("/status").json()
    extra = spotted(spots / "late.png", "red", spot=80)
    try:
        collection.add([spots])
        after = served.ask("/status").json()
        assert (after["images"], after["version"] > before["version"]) == (7, True)
        assert "late.png" in names(served.search(text="red", k=3))
    finally:
        extra.unlink()


def test_what_left_the_collection_is_not_served(served, collection):
    (hit,) = served.search(text="red", k=1)["hits"]
    assert served.ask(f"/images/{hit['id']}").status == 200
    collection.table().delete([hit["id"]])
    assert served.ask(f"/images/{hit['id']}").status == 404
    assert served.ask("/status").json()["images"] == 5


def test_searching_goes_on_while_another_writes(served, spots, collection, tmp_path):
    def index():
        for number in range(6):
            spotted(tmp_path / "more" / f"{number}.png", "green", spot=30 + number)
            collection.add([tmp_path / "more"])

    writer = threading.Thread(target=index)
    writer.start()
    seen = []
    while writer.is_alive() or len(seen) < 5:
        found = served.search(text="green", k=100)
        assert len(found["hits"]) >= found["images"]  # what came since it was counted is there too
        seen.append(found["images"])
    writer.join()
    assert seen == sorted(seen)
    assert served.search(text="green", k=100)["images"] == 12


def test_metrics_count_what_was_asked(served):
    for _ in range(3):
        served.search(text="red")
    served.ask("/images/0123456789abcdef")
    text = served.ask("/metrics").body.decode()
    assert 'finesight_requests_total{method="POST",route="/search",status="200"} 3.0' in text
    assert 'route="/images/{id}",status="404"' in text
    assert 'finesight_images{collection="pics"} 6.0' in text
    assert "0123456789abcdef" not in text


def test_several_collections(collection, spots, tmp_path, color_model):
    other = Collection.open(tmp_path / "other" / "collection", color_model)
    other.add([spots / "small"])
    folders = (collection.directory, other.directory, tmp_path / "none" / "collection")
    with serving(Settings(collections=folders)) as served:
        listed = {each["name"]: each["images"] for each in served.ask("/collections").json()}
        assert listed == {"pics": 6, "other": 3, "none": 0}
        assert served.search(text="red", collection="other")["images"] == 3
        assert served.ask("/search", {"text": "red", "collection": "missing"}).status == 404


def test_a_collection_that_is_not_there_yet(tmp_path, spots, color_model, monkeypatch):
    monkeypatch.setattr("finesight.search.reader.load_model", lambda source: color_model)
    with serving(Settings(collections=(tmp_path / "new",))) as served:
        answer = served.ask("/search", {"text": "red"})
        assert (answer.status, answer.json()["title"]) == (404, "Not found")
        assert served.ask("/status").json()["images"] == 0
        assert served.ask("/images").json()["images"] == []
        Collection.open(tmp_path / "new", color_model).add([spots])
        assert served.ask("/status").json()["images"] == 6
        assert len(served.search(text="red")["hits"]) == 6


def test_many_at_once_get_what_one_gets(served):
    alone = {text: names(served.search(text=f"a {text} thing", k=3)) for text in COLORS}
    answers = []

    def ask(text):
        answers.append((text, names(served.search(text=f"a {text} thing", k=3))))

    threads = [threading.Thread(target=ask, args=(text,)) for text in list(COLORS) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 24
    assert all(found == alone[text] for text, found in answers)


def test_hits_have_a_relevance_and_least_ones_are_left_out(served):
    answer = served.search(text="red", k=3)
    assert all(0 <= hit["relevance"] <= 1 for hit in answer["hits"])
    least = answer["hits"][0]["relevance"]
    few = served.search(text="red", k=3, min_relevance=least)["hits"]
    assert few and all(hit["relevance"] >= least for hit in few)


def test_a_text_of_several_things_is_split_unless_told(served):
    parts = served.search(text="a red thing and a blue thing", k=1)["hits"][0]["matches"]
    assert [match["part"] for match in parts] == ["red thing", "blue thing"]
    whole = served.search(text="a red thing and a blue thing", k=1, split="off")
    assert len(whole["hits"][0]["matches"]) == 1
    assert whole["nothing"] in (True, False)
