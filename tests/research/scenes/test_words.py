import json
from pathlib import Path

import numpy as np
import pytest

from finesight.research.datasets.clevr_ds import SceneImage, SceneObject, SceneSet
from finesight.research.scenes.words import (
    NEGATIVE_KINDS,
    QUERY_KINDS,
    Meaning,
    Noun,
    caption_meanings,
    finder_of,
    hard_negatives,
    query_texts,
    say,
    write_words,
)

COLORS = ("red", "blue", "green")


def thing(name, color, material="matte", size="small", role="query"):
    return SceneObject(
        class_name=name,
        color=color,
        material=material,
        instance=0,
        box=(0, 0, 0.1, 0.1),
        share=0.01,
        size=size,
        role=role,
    )


def scene(index, objects, relations):
    return SceneImage(
        path=Path(f"{index}.jpg"),
        index=index,
        width=64,
        height=64,
        objects=objects,
        relations=relations,
    )


def row(index, *objects):
    """A scene whose objects stand in a row, each to the right of those before it."""
    n = range(len(objects))
    left = tuple(tuple(j for j in n if j < i) for i in n)
    right = tuple(tuple(j for j in n if j > i) for i in n)
    none = tuple(() for _ in n)
    relations = {"left": left, "right": right, "front": none, "behind": none}
    return scene(index, objects, relations)


SCENES = (
    row(0, thing("mug", "red"), thing("car", "blue", "metal", "large")),
    row(1, thing("car", "blue"), thing("mug", "red")),
    row(2, thing("mug", "blue"), thing("car", "red")),
    row(3, thing("mug", "red")),
    row(4, thing("mug", "red"), thing("sofa", "green"), thing("car", "blue")),
)
RED_MUG, BLUE_CAR = Noun("mug", "red"), Noun("car", "blue")


@pytest.mark.parametrize(
    ("meaning", "relevant"),
    [
        (Meaning((Noun("mug"),)), [0, 1, 2, 3, 4]),
        (Meaning((RED_MUG,)), [0, 1, 3, 4]),
        (Meaning((RED_MUG, BLUE_CAR)), [0, 1, 4]),
        (Meaning((RED_MUG, BLUE_CAR), ((0, "left", 1),)), [0, 4]),
        (Meaning((RED_MUG, BLUE_CAR), ((0, "right", 1),)), [1]),
        (Meaning((RED_MUG, BLUE_CAR), ((0, "behind", 1),)), []),
        (Meaning((RED_MUG, BLUE_CAR), alone=True), [0, 1]),
        (Meaning((RED_MUG,), alone=True), [3]),
        (Meaning((Noun("car", material="metal", size="large"),)), [0]),
        (Meaning((RED_MUG, RED_MUG)), []),  # one mug is not two
        (Meaning((Noun("lamp"),)), []),
    ],
)
def test_truth_finds_every_image_and_no_other(meaning, relevant):
    assert finder_of(SCENES)(meaning) == relevant


def test_words_by_hand():
    left = Meaning((RED_MUG, BLUE_CAR), ((0, "left", 1),))
    assert say(left) == "a red mug to the left of a blue car"
    assert say(left, bare=True) == "red mug left of blue car"
    swapped = "an image that shows a blue car on the right side of a red mug"
    assert say(left, long=True, other=True) == swapped
    every = Meaning((RED_MUG, Noun("airplane", size="large", material="metal")), alone=True)
    assert say(every, long=True).startswith("a scene with a red mug and a large metal airplane and")
    assert say(Meaning((Noun("airplane"),))) == "a photo of an airplane"


def test_captions_and_queries_are_true_of_their_scene():
    for scene in SCENES:
        for seed in range(20):
            rng = np.random.default_rng(seed)
            levels = caption_meanings(rng, scene)
            assert len(levels) == 5
            assert all(meaning.holds(scene) for meaning in levels)
            asked = list(query_texts(rng, levels))
            assert [kind for kind, _, _ in asked] == list(QUERY_KINDS)
            assert all(meaning.holds(scene) for _, _, meaning in asked)


def test_hard_negatives_differ_from_a_true_caption_and_are_false():
    seen = set()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        for kind, true, false in hard_negatives(
            rng, SCENES[0], caption_meanings(rng, SCENES[0]), COLORS
        ):
            seen.add(kind)
            assert true != false
            if kind == "order":
                assert sorted(true.split()) == sorted(false.split())
            if kind == "object-swap":
                assert false in (
                    "a blue car to the left of a red mug",
                    "a red mug to the right of a blue car",
                )
    assert seen == set(NEGATIVE_KINDS)


def test_a_swap_that_stays_true_is_no_negative():
    twins = row(0, thing("mug", "red"), thing("car", "red"))
    for seed in range(10):
        rng = np.random.default_rng(seed)
        kinds = {
            kind for kind, _, _ in hard_negatives(rng, twins, caption_meanings(rng, twins), COLORS)
        }
        assert "attribute-swap" not in kinds  # red and red
        assert "relation" in kinds


def test_files_hold_complete_truth_and_mark_what_must_not_be_named(tmp_path):
    scenes = SceneSet(
        settings={"seed": 3},
        classes=("car", "mug", "sofa"),
        colors=COLORS,
        never_named=("car",),
        images=SCENES,
    )
    write_words(tmp_path, scenes)
    captions = [json.loads(line) for line in (tmp_path / "captions.jsonl").read_text().splitlines()]
    assert [line["index"] for line in captions] == [0, 1, 2, 3, 4]
    for line in captions:
        assert [caption["level"] for caption in line["captions"]] == [1, 2, 3, 4, 5]
        for caption in line["captions"]:
            assert line["index"] in caption["relevant"]
            named = [noun["class_name"] for noun in caption["meaning"]["nouns"]]
            assert caption["never_named"] == ("car" in named)
    queries = [json.loads(line) for line in (tmp_path / "queries.jsonl").read_text().splitlines()]
    assert {query["kind"] for query in queries} == set(QUERY_KINDS)
    assert len({(query["kind"], query["text"]) for query in queries}) == len(queries)
    (tag,) = [q for q in queries if q["text"] == "mug"] or [{"relevant": [0, 1, 2, 3, 4]}]
    assert tag["relevant"] == [0, 1, 2, 3, 4]
    first = (tmp_path / "queries.jsonl").read_text()
    write_words(tmp_path, scenes)
    assert (tmp_path / "queries.jsonl").read_text() == first


def test_distractors_are_not_asked_for():
    asked = row(0, thing("mug", "red"), thing("car", "blue"))
    other = thing("car", "blue", role="distractor")
    changed = scene(0, (asked.objects[0], other), asked.relations)
    for seed in range(10):
        levels = caption_meanings(np.random.default_rng(seed), changed)
        assert levels[0].nouns[0].class_name == "mug"
