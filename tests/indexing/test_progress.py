import json
import os
import time

import pytest

from finesight.collection import Collection
from finesight.indexing.progress import PROGRESS, Progress, read_progress, shown_progress


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
