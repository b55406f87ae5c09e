import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from finesight.cli.app import app
from finesight.research.datasets.records import CaptionSet, Judgements
from finesight.research.datasets.scene_texts import HardNegatives
from finesight.research.evaluation.captions import (
    CaptionScores,
    encode_all,
    evaluate_captions,
    format_captions,
    plain,
    score_captions,
)
from finesight.research.metrics import caption_recalls
from finesight.research.table import to_json
from finesight.scoring.similarity import normalise
from finesight.types import ImageVectors

TEXTS = ("red", "a red thing", "green", "blue")


@pytest.fixture
def spots():
    """Three images that are gray as a whole and have one coloured region each."""
    return CaptionSet("spots", ("r", "g", "b"), TEXTS, np.array([0, 0, 1, 2]))


def seen_spots(model):
    gray = np.float32([0.5, 0.5, 0.5, 0.1])
    colors = encode_all(model, ["red", "green", "blue"])
    boxes = np.tile(np.float32([0, 0, 1, 1]), (2, 1))
    return [ImageVectors(boxes, normalise(np.stack([gray, color]))) for color in colors]


def test_regions_find_what_the_whole_image_hides(spots, color_model):
    scores = score_captions(spots, seen_spots(color_model), color_model)
    rows = {row.method: row for row in evaluate_captions(spots, scores)}
    assert set(rows) == {"whole", "fused-8", "regions"}
    assert rows["regions"].recalls.rsum == 600
    assert rows["whole"].recalls.t2i[0] == pytest.approx(100 / 3)  # all alike: as chance
    assert rows["regions"].folds is None


def test_images_without_regions_have_one_method(spots, color_model):
    whole = [ImageVectors(s.boxes[:1], s.embeddings[1:]) for s in seen_spots(color_model)]
    assert list(score_captions(spots, whole, color_model)) == ["whole"]


def test_negatives_are_scored_by_their_own_image(spots, color_model):
    negatives = HardNegatives(
        np.array([2, 0]), ("attribute", "order"), ("blue", "a red"), ("green", "red a")
    )
    scores = score_captions(spots, seen_spots(color_model), color_model, negatives)
    (row,) = (r for r in evaluate_captions(spots, scores, (), negatives) if r.method == "regions")
    assert [(each.kind, each.right, each.tied) for each in row.negatives] == [
        ("attribute", 1.0, 0.0),
        ("order", 0.5, 1.0),
    ]


def test_five_thousand_images_are_folded():
    rng = np.random.default_rng(0)
    found = rng.random((5000, 5000), np.float32)
    captions = CaptionSet(
        "coco", tuple(map(str, range(5000))), tuple(map(str, range(5000))), np.arange(5000)
    )
    (row,) = evaluate_captions(captions, {"m": CaptionScores(found)})
    assert row.folds.t2i[2] == pytest.approx(1, abs=0.5)  # ten of a thousand
    parts = [
        caption_recalls(found[i : i + 1000, i : i + 1000], np.arange(1000))
        for i in range(0, 5000, 1000)
    ]
    assert row.folds.rsum == pytest.approx(np.mean([part.rsum for part in parts]))


def test_what_else_is_true_counts(spots, color_model):
    more = CaptionSet(spots.name, spots.images, TEXTS, spots.owner, more=np.array([[1, 3]]))
    found = np.array([[0.9, 0.8, 0.1, 0.1], [0.1, 0.1, 0.2, 0.7], [0.1, 0.1, 0.6, 0.5]])
    asked = Judgements(
        "eccv", np.array([2]), np.eye(4, dtype=bool)[[3]], np.array([], int), found[:0]
    )
    (row,) = evaluate_captions(more, {"m": CaptionScores(found)}, [asked])
    true, eccv = row.judged
    assert row.recalls.i2t[0] == pytest.approx(100 / 3)
    assert true.name == "all true"
    assert true.recalls.i2t[0] == pytest.approx(200 / 3)
    assert true.map_at_r[0] == pytest.approx(100 * (1 + 1 + 0) / 3)
    assert eccv.map_at_r[0] == 0
    assert eccv.recalls.i2t == (0.0, 100.0, 100.0)
    text = format_captions(more, [row])
    assert "m, all true" in text
    assert json.loads(to_json(plain(row)))["judged"]["eccv"]["i2t"]["r5"] == 100


@pytest.fixture
def scenes(tmp_path):
    """Ten of the sample's scenes, with as many captions and pairs as belong to them."""
    sample = Path(__file__).parents[3] / "data/sample"
    (tmp_path / "images").mkdir()
    shutil.copy(sample / "dataset.json", tmp_path)
    for name in ("scenes", "captions", "negatives"):
        text = (sample / f"{name}.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        chosen = [line for line in lines if line["index"] < 10]
        for line in chosen:
            for caption in line.get("captions", []):
                caption["relevant"] = [i for i in caption["relevant"] if i < 10]
        text = "".join(json.dumps(line) + "\n" for line in chosen)
        (tmp_path / f"{name}.jsonl").write_text(text)
    for i in range(10):
        shutil.copy(sample / f"images/{i:06d}.jpg", tmp_path / "images")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.mark.filterwarnings("ignore:.*reads 24 tokens")
def test_the_command_prints_what_it_measured(scenes):
    result = run(scenes, "--model", "mini", "--protocol", "captions", "--regions", "cc2", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout.splitlines()[-1])
    assert [row["method"] for row in rows] == ["whole", "fused-8", "regions"]
    assert rows[0]["judged"]["all true"]["t2i"]["r10"] == 100  # of ten images
    assert {"attribute", "order"} <= set(rows[0]["hard_negatives"])


def test_an_evaluation_list_finds_its_images(tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "1.png")
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps([{"image": "flickr/1.png", "caption": ["red", "a square"]}]))
    options = ("--model", "mini", "--protocol", "captions", "--regions", "full", "--json")
    result = run(listed, *options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])[0]["rsum"] == 600


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--protocol", "sounds"], "unknown protocol 'sounds'"),
        (["--split", "test"], "need --protocol captions"),
        (["--protocol", "captions", "--scale"], "about classes"),
        (["--protocol", "captions", "--split", "val"], "has no splits"),
        (["--protocol", "captions", "--judgements", "."], "no COCO ids|has no judgements"),
    ],
)
def test_options_that_do_not_belong_are_refused(scenes, options, says):
    result = run(scenes, "--model", "mini", *options)
    assert result.exit_code != 0
    with pytest.raises(type(result.exception), match=says):
        raise result.exception
