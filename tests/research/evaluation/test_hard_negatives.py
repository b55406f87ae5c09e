import json
import re
from pathlib import Path

import numpy as np
import pytest

from finesight.errors import DataError
from finesight.research.datasets import clevr_ds, scene_texts
from finesight.research.datasets.scene_texts import HardNegatives
from finesight.research.evaluation.captions import hard_negative_accuracy, score_pairs

SAMPLE = Path(__file__).parents[3] / "data/sample"

PAIRS = HardNegatives(
    np.array([1, 0, 1]),
    ("attribute-swap", "attribute", "attribute-swap"),
    ("a red mug and a blue car", "a red mug", "a gray cap and a red bed"),
    ("a blue mug and a red car", "a blue mug", "a red cap and a gray bed"),
)


def counts_words(images, texts):
    """Scores by which words there are: image 0 shows a red mug."""
    return np.array([[sum(len(w) ** 0.3 for w in t.split() if w == "red") for t in texts]])


def test_who_counts_words_gets_half_of_the_swaps():
    found = hard_negative_accuracy(PAIRS, score_pairs(PAIRS, counts_words))
    swap, attribute = found
    assert (swap.kind, swap.right, swap.tied, swap.pairs) == ("attribute-swap", 0.5, 1.0, 2)
    assert (attribute.kind, attribute.right, attribute.tied) == ("attribute", 1.0, 0.0)
    assert swap.error == pytest.approx(np.sqrt(0.25 / 2))


def test_pairs_are_asked_of_their_own_image():
    def scorer(images, texts):
        (image,) = images
        return np.array([[image + text.index("red") for text in texts]])

    texts = HardNegatives(np.array([1, 0]), ("a", "b"), ("red", " red"), (" red", "  red"))
    assert score_pairs(texts, scorer).tolist() == [[1, 2], [1, 2]]


def test_the_last_digit_does_not_decide():
    one = HardNegatives(np.array([0]), ("order",), ("a b",), ("b a",))
    (result,) = hard_negative_accuracy(one, np.array([[0.1 + 0.2, 0.3]]))
    assert result.tied == 1


def holds(text, scene):
    """Whether a plain caption of the sample is true: read from its words, not from its meaning."""
    text = re.sub(r"^a photo of ", "", text)
    parts = re.split(r" (to the left of|to the right of|in front of|behind) ", text)
    nouns = [re.fullmatch(r"an? (\w+) (.+)", part).groups() for part in parts[::2]]
    fits = [
        [i for i, o in enumerate(scene.objects) if (o.color, o.class_name) == noun]
        for noun in nouns
    ]
    if len(parts) == 1:
        return bool(fits[0])
    where = parts[1].removeprefix("to the ").removeprefix("in ").removesuffix(" of")
    return any(i in scene.relations[where][j] for i in fits[0] for j in fits[1] if i != j)


def test_every_false_caption_of_the_sample_is_false_and_every_true_one_true():
    scenes = clevr_ds.load(SAMPLE).images
    negatives = scene_texts.load_negatives(SAMPLE)
    checked = 0
    for row, kind in enumerate(negatives.kinds):
        scene = scenes[negatives.image[row]]
        assert holds(negatives.true[row], scene)
        if kind == "order":
            assert sorted(negatives.true[row].split()) == sorted(negatives.false[row].split())
            assert negatives.true[row] != negatives.false[row]
        else:
            assert not holds(negatives.false[row], scene), negatives.false[row]
            checked += 1
        if kind in ("attribute-swap", "object-swap"):  # the same words, so that counting fails
            assert sorted(negatives.true[row].split()) == sorted(negatives.false[row].split())
    assert checked > 400


def test_pairs_of_other_scenes_are_refused(tmp_path):
    for name in ("dataset.json", "scenes.jsonl"):
        (tmp_path / name).write_text((SAMPLE / name).read_text())
    line = {"index": 9999, "kind": "order", "true": "a b", "false": "b a"}
    (tmp_path / "negatives.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(DataError, match=r"negatives\.jsonl, line 1 is damaged or of other scenes"):
        scene_texts.load_negatives(tmp_path)
