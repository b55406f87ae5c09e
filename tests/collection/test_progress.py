import json
import os
import time

import numpy as np
import pytest

from finesight.collection import Collection
from finesight.collection.progress import PROGRESS, Progress, read_progress, shown_progress


def test_progress_is_shown_while_a_run_lasts(tmp_path):
    seen = []
    with shown_progress(tmp_path, lambda done, total: seen.append((done, total))) as advance:
        assert read_progress(tmp_path) is None
        advance(3, 10)
        advance(4, 10)  # within the same moment: told, not written
        assert read_progress(tmp_path) == Progress(3, 10)
    assert seen == [(3, 10), (4, 10)]
    assert read_progress(tmp_path) is None


def test_progress_of_a_killed_run_is_passed_over(tmp_path):
    (tmp_path / PROGRESS).write_text(json.dumps({"done": 1, "total": 2}))
    assert read_progress(tmp_path) == Progress(1, 2)
    old = time.time() - 3600
    os.utime(tmp_path / PROGRESS, (old, old))
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"done": 1}', '{"done": "x", "total": 1}'])
def test_a_damaged_progress_file_is_no_progress(tmp_path, content):
    (tmp_path / PROGRESS).write_text(content)
    assert read_progress(tmp_path) is None


def test_indexing_shows_its_progress(folder, tmp_path, color_model):
    seen = []

    def look(done, total):
        seen.append(read_progress(tmp_path / "c"))

    Collection.open(tmp_path / "c", color_model).add([folder], progress=look)
    assert Progress(0, 3) in seen
    assert read_progress(tmp_path / "c") is None


@pytest.mark.parametrize("rank_by", ["regions", "exact"])
def test_detail_goes_from_the_whole_image_to_its_best_region(
    folder, tmp_path, color_model, rank_by
):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    scores = [
        {hit.path.stem: hit.score for hit in collection.search("red", 3, rank_by, detail=detail)}
        for detail in (0.0, 0.25, 1.0)
    ]
    whole = {hit.path.stem: hit.score for hit in collection.search("red", 3, "whole")}
    for name, score in whole.items():
        assert scores[0][name] == pytest.approx(score, abs=1e-3)
        mixed = 0.75 * scores[0][name] + 0.25 * scores[2][name]
        assert scores[1][name] == pytest.approx(mixed, abs=1e-6)
    assert np.argmax(list(scores[2].values())) == 0
