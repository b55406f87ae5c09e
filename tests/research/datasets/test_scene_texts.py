import json

import pytest

from finesight.errors import DataError, InputError
from finesight.research.datasets import scene_texts
from finesight.research.evaluation.typed_queries import relevant_matrix

HEAD = {"format": "finesight-scenes", "version": 2, "classes": ["mug"], "colors": ["red"]}
HEAD |= {"never_named": []}
SAYS = ("a mug", "a red mug", "a red mug and a red mug", "a mug left of a mug", "a mug only")


def write(folder, relevant=((3, 7), (7,), (7,), (7,), (7,)), images=(7, 3)):
    (folder / "dataset.json").write_text(json.dumps(HEAD))
    scenes = [
        {"file": f"images/{i:06d}.jpg", "index": i, "width": 9, "height": 9, "objects": []}
        for i in images
    ]
    (folder / "scenes.jsonl").write_text("".join(json.dumps(scene) + "\n" for scene in scenes))
    captions = [
        {"level": level, "text": text, "relevant": list(true), "meaning": {}}
        for level, (text, true) in enumerate(zip(SAYS, relevant, strict=True), 1)
    ]
    (folder / "captions.jsonl").write_text(json.dumps({"index": 7, "captions": captions}) + "\n")
    return folder


def test_captions_belong_to_images_and_are_true_of_more(tmp_path):
    found = scene_texts.load_captions(write(tmp_path))
    assert found.images == ("images/000007.jpg", "images/000003.jpg")
    assert found.captions == SAYS
    assert found.owner.tolist() == [0] * 5
    assert found.more.tolist() == [[1, 0]]


def test_levels_are_chosen(tmp_path):
    found = scene_texts.load_captions(write(tmp_path), levels=(4, 5))
    assert found.captions == SAYS[3:]
    assert len(found.more) == 0


def test_captions_of_other_scenes_are_refused(tmp_path):
    write(tmp_path, relevant=((3, 8), (7,), (7,), (7,), (7,)))
    with pytest.raises(DataError, match=r"captions\.jsonl, line 1 is damaged or of other scenes"):
        scene_texts.load_captions(tmp_path)
    (tmp_path / "captions.jsonl").unlink()
    with pytest.raises(InputError, match=r"has no captions\.jsonl"):
        scene_texts.load_captions(tmp_path)


def test_typed_queries_of_rendered_scenes(tmp_path):
    line = {"kind": "tag", "text": "mug", "relevant": [0, 2]}
    (tmp_path / "queries.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "scenes.jsonl").write_text("".join(f'{{"index": {i}}}\n' for i in range(3)))
    typed = scene_texts.load_queries(tmp_path)
    assert typed.images == ("0", "1", "2")
    assert relevant_matrix(typed).tolist() == [[True, False, True]]
    (tmp_path / "queries.jsonl").write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        scene_texts.load_queries(tmp_path)
    (tmp_path / "queries.jsonl").unlink()
    with pytest.raises(InputError, match="finesight render"):
        scene_texts.load_queries(tmp_path)
