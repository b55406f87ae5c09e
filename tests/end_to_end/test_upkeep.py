"""Indexing and upkeep as people run them, in processes of their own, with mini."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import spotted

COMMAND = [sys.executable, "-W", "error", "-m", "finesight"]


def finesight(*arguments, given=b""):
    result = subprocess.run(
        [*COMMAND, *map(str, arguments)], input=given, capture_output=True, check=False
    )
    return result.returncode, result.stdout.decode(), result.stderr.decode()


@pytest.fixture
def index(folder, tmp_path):
    """A function that indexes things into a collection, with mini, at the whole image."""

    def run(*arguments, given=b""):
        looked = ("--model", "mini", "--regions", "full", "--collection", tmp_path / "c")
        return finesight("index", *arguments, *looked, given=given)

    return run


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_on_the_standard_input(folder, index, end):
    paths = [folder / "red.png", folder / "blue.png", folder / "gone.png"]
    code, out, err = index("-", given=end.join(os.fsencode(path) for path in paths) + end)
    assert (code, out) == (0, "")
    assert "2 indexed, 0 unchanged, 1 skipped" in err
    assert f"skipped {folder / 'gone.png'}: cannot be read: No such file" in err


def test_patterns_exclusion_and_pruning(folder, index):
    assert "3 indexed" in index(folder.parent / "**" / "*.png")[2]
    assert "2 unchanged, 1 gone (--prune removes them)" in index(folder, "--exclude", "r*")[2]
    assert "2 unchanged, 1 removed" in index(folder, "--exclude", "r*", "--prune")[2]


def test_the_limit_of_pixels(folder, index):
    code, _, err = index(folder, "--max-pixels", 1000)
    assert code == 0
    assert "0 indexed, 0 unchanged, 3 skipped: too large (3)" in err


def test_removing_and_duplicates(folder, index, tmp_path):
    (folder / "copy.png").write_bytes((folder / "red.png").read_bytes())
    index(folder)
    code, out, _ = finesight("duplicates", "--exact", "--collection", tmp_path / "c")
    root = folder.resolve()
    assert (code, out) == (
        0,
        f"bytes\t1.0000\t{root / 'copy.png'}\nbytes\t1.0000\t{root / 'red.png'}\n",
    )
    found = json.loads(finesight("duplicates", "--json", "--collection", tmp_path / "c")[1])
    assert found[0]["paths"] == [str(root / "copy.png"), str(root / "red.png")]
    assert "1 removed" in finesight("remove", "c?py.png", "--collection", tmp_path / "c")[2]
    code, _, err = finesight("remove", "c?py.png", "--collection", tmp_path / "c")
    assert (code, "holds no image of" in err) == (2, True)


def test_switching_to_another_model(folder, index, tmp_path):
    import shutil

    from finesight.models import BUNDLED

    other = tmp_path / "other"
    shutil.copytree(BUNDLED["mini"], other)
    (other / "finesight.json").unlink()  # which leaves a model of the hub's layout
    tokenizer = other / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    index(folder)
    collection = ("--collection", tmp_path / "c")
    code, _, err = finesight("search", "red", "--model", other, *collection)
    assert code == 2
    assert f"finesight switch {other} --collection {tmp_path / 'c'}" in err
    code, _, err = finesight("switch", other, *collection)
    assert (code, "3 encoded" in err) == (0, True)
    assert finesight("search", "red", "--model", other, *collection)[0] == 0
    (folder / "red.png").unlink()
    (folder / "blue.png").touch()
    code, _, err = finesight("switch", "mini", *collection)
    assert code == 0  # mini has looked at red.png before; its vectors are kept
    assert finesight("switch", other, "--forget", *collection)[0] == 0
    code, _, err = finesight("switch", other, *collection)
    assert code == 1
    assert f"missing {folder.resolve() / 'red.png'}" in err
    assert "--without-missing" in err


def test_watching(folder, tmp_path):
    pytest.importorskip("watchfiles", reason="watching needs watchfiles")
    arguments = [folder, "--model", "mini", "--regions", "full", "--watch"]
    # What runs in the background of a script ignores ^C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The collection lies in the folder that is watched, and must not wake the watcher itself.
    process = subprocess.Popen(
        [*COMMAND, "index", *map(str, arguments), "--collection", str(folder / "c")],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = iter(process.stderr.readline, "")
        assert "3 indexed" in next(lines)
        assert "watching" in next(lines)
        time.sleep(1)  # the watcher says so just before it begins
        spotted(folder / "new.png", "red", spot=50)
        assert "1 indexed, 3 unchanged" in next(lines)
        (folder / "new.png").rename(folder / "newer.png")
        assert "0 indexed, 3 unchanged, 1 moved" in next(lines)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[1]
        assert process.returncode == 0
        assert "Traceback" not in rest
        assert "indexed" not in rest
    finally:
        process.kill()
        process.communicate()


def test_ten_kills():
    """The soak test in small: `make soak` kills 200 times."""
    script = Path(__file__).parents[2] / "benchmarks" / "index_soak.py"
    result = subprocess.run(
        [sys.executable, str(script), "10", "--quick"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "wrong: nothing" in result.stdout
