"""The program as people run it, in processes of its own, with mini and the sample scenes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import spotted
from item_heads import mini_with_items

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


def finesight(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "finesight", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """A dozen sample scenes, indexed."""
    root = tmp_path_factory.mktemp("pictures")
    for image in sorted((SAMPLE / "images").iterdir())[:12]:
        (root / image.name).write_bytes(image.read_bytes())
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    result = finesight("index", root, "--collection", root / "c", "--model", "mini")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert "12 indexed, 0 unchanged, 1 skipped" in result.stderr
    return root / "c"


def test_indexing_again_does_nothing(collection):
    result = finesight("index", collection.parent, "--collection", collection)
    assert "0 indexed, 12 unchanged, 1 skipped" in result.stderr


def test_search_finds_what_the_scene_graph_says(collection):
    scenes = [json.loads(line) for line in (SAMPLE / "scenes.jsonl").read_text().splitlines()[:12]]
    things = {(o["color"], o["class"]) for s in scenes for o in s["objects"]}
    right = 0
    for color, name in sorted(things):
        result = finesight(
            "search", f"{color} {name}", "--collection", collection, "--json", "-k", 1
        )
        (hit,) = json.loads(result.stdout)
        index = int(Path(hit["path"]).stem)
        right += any((o["color"], o["class"]) == (color, name) for o in scenes[index]["objects"])
    assert right / len(things) > 0.6


def test_plain_output_and_paths(collection):
    plain = finesight("search", "red mug", "--collection", collection, "-k", 3).stdout.splitlines()
    paths = finesight("search", "red mug", "--collection", collection, "-k", 3, "--paths").stdout
    assert [line.split("\t")[2] for line in plain] == paths.splitlines()
    assert len(plain[0].split("\t")[3].split(",")) == 4


def test_queries_of_several_parts(collection):
    image = collection.parent / "000000.jpg"
    image = image if image.exists() else next(collection.parent.rglob("*.jpg"))
    result = finesight(
        "search", "2:red", "mug", "+", f"{image}@0,0,.5,.5", "-", "table", "--json",
        "--collection", collection, "-k", 2, "--where", "width > 1", "--path", "*.jpg",
    )  # fmt: skip
    hits = json.loads(result.stdout)
    assert [hit["rank"] for hit in hits] == [1, 2]
    parts = [(match["part"], match["weight"]) for match in hits[0]["matches"]]
    assert parts == [("red mug", 2), (f"{image.name}@0,0,0.5,0.5", 1), ("table", -1)]
    assert hits[0]["why"] in ("region", "whole")
    second = finesight(
        "search", "red mug", "--offset", 1, "-k", 1, "--paths", "--collection", collection
    )
    both = finesight("search", "red mug", "-k", 2, "--paths", "--collection", collection)
    assert second.stdout == both.stdout.splitlines(keepends=True)[1]


def test_more_like_an_indexed_image(collection):
    image = finesight("search", "mug", "-k", 1, "--paths", "--collection", collection)
    image = image.stdout.strip()
    result = finesight("search", "--near", image, "--group", "--words", "--collection", collection)
    assert result.returncode == 2
    result = finesight("search", "--near", image, "--group", "--collection", collection)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert image not in [line[2] for line in lines]
    assert {line[4].split(" ")[0] for line in lines} == {"whole"}


def test_the_very_thing_is_found_with_a_model_that_tells(collection, tmp_path):
    """The head is of the collection's own encoder: nothing is indexed anew."""
    model = mini_with_items(tmp_path / "mini")
    first = sorted(collection.parent.glob("0*.jpg"))[3]
    typed = ["--item", "--model", model, "--collection", collection, "--json", "-k", 3]
    hits = json.loads(finesight("search", f"{first}@0.2,0.2,0.6,0.6", *typed).stdout)
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["score"] >= max(hits[0]["matches"][0]["score"], hits[1]["score"])
    assert hits[0]["relevance"] is None and len(hits[0]["box_px"]) == 4
    near = json.loads(finesight("search", "--near", first, *typed).stdout)
    assert str(first) not in {hit["path"] for hit in near}


def test_optimize_and_export(collection, tmp_path):
    queries = tmp_path / "queries.txt"
    queries.write_text("red mug\n\nblue chair\n")
    result = finesight("optimize", "--collection", collection, "--queries", queries, "--json")
    report = json.loads(result.stdout)
    assert (report["images"], report["queries"], report["recall"]) == (12, 2, 1.0)
    plain = finesight("optimize", "--collection", collection, "--queries", queries)
    assert "scanned in memory" in plain.stdout
    result = finesight("export-vectors", tmp_path / "v.npz", "--collection", collection)
    assert "of 12 images" in result.stderr
    with np.load(tmp_path / "v.npz") as file:
        assert len(file["vectors"]) == 96


def test_the_environment_names_the_collection(collection):
    result = finesight("search", "mug", "--paths", "-k", 1, FINESIGHT_COLLECTION=str(collection))
    assert result.stdout.count("\n") == 1


def test_saved_hits(collection, tmp_path):
    finesight("search", "mug", "--collection", collection, "-k", 2, "--save", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert (tmp_path / "out" / "sheet.jpg").stat().st_size > 1000


def test_status(collection):
    facts = json.loads(finesight("status", "--collection", collection, "--json").stdout)
    assert (facts["images"], facts["model"], facts["regions"]) == (12, "mini", "objects384x12")
    assert facts["skipped"] == 1


def test_how_closely_to_look_is_said_in_one_way(tmp_path):
    picture = tmp_path / "pictures" / "red.png"
    spotted(picture, "red")
    for number, (options, regions) in enumerate(
        (
            (("--effort", "low"), "objects256x7at56"),
            (("--smallest", "60"), "cover60r4.0"),
            (("--regions", "cc2"), "cc2"),
            (("--smallest", "60", "--tolerance", "4"), "cover60r4.0~4"),
        )
    ):
        place = ("--collection", tmp_path / str(number))
        made = finesight("index", picture.parent, "--model", "mini", *place, *options)
        assert made.returncode == 0, made.stderr
        facts = json.loads(finesight("status", *place, "--json").stdout)
        assert (facts["images"], facts["regions"]) == (1, regions)
    both = ("--effort", "low", "--smallest", "60")
    refused = finesight("index", picture.parent, *place, *both)
    assert refused.returncode == 2
    assert "give one of --regions, --effort and --smallest" in refused.stderr
    refused = finesight("index", picture.parent, *place, "--tolerance", "4")
    assert refused.returncode == 2
    assert "--tolerance says what --smallest or --regions may leave out" in refused.stderr
    refused = finesight("index", picture.parent, *place, "--effort", "some")
    assert "use one of low, normal, high" in refused.stderr


def test_what_was_skipped(collection):
    plain = finesight("status", "--skipped", "--collection", collection).stdout
    path, reason = plain.rstrip("\n").split("\t")
    assert Path(path) == collection.parent.resolve() / "broken.jpg"
    listed = json.loads(
        finesight("status", "--skipped", "--json", "--collection", collection).stdout
    )
    assert listed == [{"path": path, "reason": reason}]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", ""], 2, "empty"),
        (["search", "mug", "-k", "0"], 2, "at least one"),
        (["search", "mug", "--model", "nothing"], 2, "unknown model"),
        (["search", "mug", "--rank-by", "luck"], 2, "rank by"),
        (["search", "mug", "--where", "widht > 3"], 2, "columns id, path"),
        (["search", "-", "mug"], 2, "only takes away"),
        (["search", "nowhere.png"], 2, "no image nowhere.png"),
        (["search"], 2, "empty"),
        (["search", "--near", "{first}", "--item"], 2, "finesight train items --model mini"),
        (["search", "red mug", "--item"], 2, "give one photo of it"),
        (["search", "{first}@0,0,9999,9", "--item"], 2, "give one inside it"),
        (["search", "{first}@0.5,0.5,0.5,0.9", "--item"], 2, "x0 < x1"),
        (["evaluate", ".", "--protocol", "items"], 2, "not a folder of DeepFashion2"),
        (["evaluate", ".", "--matched-only"], 2, "needs --protocol items"),
        (["optimize", "--storage", "int4"], 2, "float16 or int8"),
        (["optimize", "--queries", "/nowhere.txt"], 2, "cannot read"),
        (["export-vectors", "x.csv"], 2, ".parquet or .npz"),
        (["index", "/nowhere/at/all"], 2, "does not exist"),
        (["index", ".", "--regions", "cc0"], 2, "unknown regions"),
        (["evaluate", "."], 2, "not a scene set"),
        (["unknown"], 2, "No such command"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(collection, arguments, code, message):
    first = min(collection.parent.glob("0*.jpg"))
    arguments = [each.replace("{first}", str(first)) for each in arguments]
    result = finesight(*arguments, FINESIGHT_COLLECTION=str(collection))
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_evaluation_as_json(tmp_path):
    (tmp_path / "images").mkdir()
    lines = (SAMPLE / "scenes.jsonl").read_text().splitlines()[:6]
    for line in lines:
        file = json.loads(line)["file"]
        (tmp_path / file).write_bytes((SAMPLE / file).read_bytes())
    (tmp_path / "scenes.jsonl").write_text("\n".join(lines))
    (tmp_path / "dataset.json").write_text((SAMPLE / "dataset.json").read_text())
    rows = json.loads(finesight("evaluate", tmp_path, "--model", "mini", "--json").stdout)
    assert {row["method"] for row in rows} >= {"full", "cc5-max", "cc10-max", "boxes-max"}
    assert {row["subset"] for row in rows} == {"all", "<1%", "1-5%", ">5%"}
    assert all(row["recall"] is None or 0 <= row["recall"] <= 1 for row in rows)


def test_parts_have_boxes_and_hits_a_relevance(collection):
    typed = ["a red mug beside a blue chair", "-k", 2, "--json", "--collection", collection]
    hits = json.loads(finesight("search", *typed).stdout)
    assert [match["part"] for match in hits[0]["matches"]] == ["red mug", "blue chair"]
    assert all(0 <= match["relevance"] <= 1 for match in hits[0]["matches"])
    assert 0 <= hits[0]["relevance"] <= 1
    whole = json.loads(finesight("search", *typed, "--parts", "off").stdout)
    assert len(whole[0]["matches"]) == 1


def test_nothing_matches_is_said_and_nothing_printed(collection):
    result = finesight("search", "giraffe", "--min-relevance", 0.5, "--collection", collection)
    assert (result.returncode, result.stdout) == (0, "")
    assert "nothing in this collection matches" in result.stderr
    result = finesight("search", "giraffe", "-k", 1, "--collection", collection)
    assert "seems to match" in result.stderr and result.stdout


def test_a_dead_language_model_costs_only_a_warning(collection, tmp_path):
    pytest.importorskip("httpx")
    typed = ["red mug", "-k", 1, "--collection", collection]
    plain = finesight("search", *typed)
    result = subprocess.run(
        [sys.executable, "-m", "finesight", "search", *map(str, typed), "--enhance"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "FINESIGHT_LLM": "http://127.0.0.1:9/v1",
            "XDG_CACHE_HOME": str(tmp_path),
        },
        check=False,
    )
    assert result.stdout == plain.stdout
    assert "cannot be reached" in result.stderr and "searching as typed" in result.stderr
