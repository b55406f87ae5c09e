"""`finesight caption`, in a process of its own, against endpoints on this machine."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from item_photos import item, write_photo, write_scenes
from talking import ANSWERER, ASKER, ScriptedAsker, talking

from finesight.collection import Collection
from finesight.research.datasets.captions import find_images, read_captions

pytest.importorskip("httpx", reason="the extra `llm` is not installed")

THINGS = [("mug", 1, "red", "matte"), ("car", 2, "blue", "metal")]
NAMES = ["--asker-model", ASKER, "--answerer-model", ANSWERER]


def command(*arguments):
    return [sys.executable, "-W", "error", "-m", "finesight", "caption", *map(str, arguments)]


def caption(*arguments, **environment):
    known = {name: v for name, v in os.environ.items() if not name.startswith("FINESIGHT_")}
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env={**known, **environment},
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    write_scenes(tmp_path / "items", [("shop", 1, n, t) for n, t in enumerate(THINGS, 1)])
    return tmp_path / "items"


def test_by_template_without_a_model(folder):
    out = folder / "captions.jsonl"
    for _ in range(2):  # again: nothing is written twice
        result = caption(folder, "--template", "--out", out)
        assert result.returncode == 0, result.stderr
    assert "2 images with 2 captions" in result.stderr and result.stdout == ""
    captions = read_captions(out)
    assert captions.images == ("images/000000.jpg", "images/000001.jpg")
    assert captions.captions[1].startswith("An image of a car with viewpoint frontal, occlusion")
    assert len(find_images(captions, folder)) == 2


def test_by_dialogue_of_photos_and_of_items(folder, models, tmp_path):
    with talking(models) as (url, asked):
        asks = ["--asker", url, *NAMES]
        result = caption(folder, "--out", tmp_path / "a.jsonl", *asks, FINESIGHT_LLM_KEY="secret")
        assert result.returncode == 0, result.stderr
        assert "2 of 2 captions" in result.stderr and "14 requests" in result.stderr
        assert {headers["Authorization"] for _, headers in asked} == {"Bearer secret"}
        of_items = caption(folder, "--out", tmp_path / "b.jsonl", *asks, "--items")
        assert of_items.returncode == 0, of_items.stderr
    lines = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert lines[0]["box"] == pytest.approx([4 / 48, 4 / 48, 44 / 48, 44 / 48])
    assert "It is red." in read_captions(tmp_path / "a.jsonl").captions[0]


def test_a_key_is_not_sent_to_another_address(folder, models, tmp_path):
    with talking({ASKER: models[ASKER]}) as (one, asking), talking(models) as (two, answering):
        urls = ["--asker", one, "--answerer", two]
        result = caption(
            folder, "--out", tmp_path / "a.jsonl", *urls, *NAMES, FINESIGHT_LLM_KEY="secret"
        )
        assert result.returncode == 0, result.stderr
    assert all("Authorization" in headers for _, headers in asking)
    assert answering and not any("Authorization" in headers for _, headers in answering)


def test_a_folder_of_images_becomes_a_collection_with_captions(folder, models, color_model):
    """The file lies beside the images, and indexing reads it."""
    pictures = folder / "images"
    with talking(models) as (url, _):
        out = pictures / "captions.jsonl"
        result = caption(pictures, "--out", out, "--asker", url, *NAMES, "--questions", "2")
    assert result.returncode == 0, result.stderr
    made = Collection.open(folder / "c", color_model)
    made.add([pictures, out])
    rows = made.table().read(["path", "caption"]).to_pylist()
    assert {row["caption"] for row in rows} == {
        "It is a mug. It is red.",
        "It is a car. It is blue.",
    }


def test_what_was_finished_survives_an_interrupt(folder, models, tmp_path):
    out = tmp_path / "a.jsonl"
    with talking(models, before=lambda n: time.sleep(60) if n > 8 else None) as (url, _):
        # What runs in the background of a script ignores ^C, and so would all that it starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        arguments = command(folder, "--out", out, "--asker", url, *NAMES)
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as running:
            try:
                while not (out.exists() and out.read_text()):
                    time.sleep(0.05)
                    assert running.poll() is None
                time.sleep(0.3)
                running.send_signal(signal.SIGINT)
                said = running.communicate(timeout=200)[1]
            finally:
                running.kill()
    assert running.returncode == 130 and "what was finished is kept" in said
    assert len(out.read_text().splitlines()) == 1
    with talking(models) as (url, _):
        result = caption(folder, "--out", out, "--asker", url, *NAMES)
    assert "2 of 2 captions" in result.stderr and "(1 new" in result.stderr


def test_what_cannot_be_done_is_said(folder, tmp_path):
    out = tmp_path / "a.jsonl"
    dead = "http://127.0.0.1:9/v1"
    for arguments, code, message in (
        ([folder, "--out", out], 2, "say how to caption: --template"),
        ([tmp_path / "none", "--template", "--out", out], 2, "does not exist"),
        ([folder / "images", "--template", "--out", out], 2, "not a folder of DeepFashion2"),
        ([folder, "--out", out, "--template", "--asker", dead], 2, "--template asks no model"),
        ([folder / "images", "--items", "--asker", dead, "--out", out], 2, "no annotated items"),
        ([folder, "--asker", "localhost", "--out", out], 2, "no address of a language model"),
        ([folder, "--asker", dead, "--out", out, "--retries", 0], 1, "cannot be reached"),
    ):
        result = caption(*arguments)
        assert (result.returncode, result.stdout) == (code, ""), result.stderr
        assert message in result.stderr and "Traceback" not in result.stderr


def test_problems_and_budgets_are_said(tmp_path):
    folder = tmp_path / "set"
    write_photo(folder, "1", "user", 1, [item()])
    write_photo(folder, "2", "user", 1, [item(box=(0, 0, 999, 999))])
    models = {ASKER: ScriptedAsker(), ANSWERER: lambda messages: "It is red."}
    with talking(models) as (url, _):
        arguments = ["--out", tmp_path / "a.jsonl", "--asker", url, *NAMES]
        result = caption(folder, *arguments, "--max-requests", 8)
    assert result.returncode == 0
    assert "left out:" in result.stderr and "outside its photo" in result.stderr
    assert "stopped: the budget of 8 requests is spent; the same command goes on" in result.stderr
