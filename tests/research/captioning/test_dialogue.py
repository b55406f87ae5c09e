import doctest
import json
import threading

import numpy as np
import pytest
from item_photos import write_scenes
from PIL import Image
from talking import ANSWERER, ASKER, ScriptedAsker, image_of, talking

from finesight.errors import DataError, InputError, ServiceError
from finesight.images.drawing import data_url
from finesight.queries.chat import ChatEndpoint
from finesight.research.captioning import dialogue as dialogue_module
from finesight.research.captioning import speaker
from finesight.research.captioning.dialogue import (
    FIRST,
    Dialogue,
    read_answer,
    read_caption,
    read_question,
)
from finesight.research.captioning.journal import Journal
from finesight.research.captioning.running import Job, describe_all, part_of
from finesight.research.captioning.speaker import (
    Budget,
    BudgetSpentError,
    NonsenseError,
    Speaker,
    Spending,
)
from finesight.research.datasets.captions import read_captions

pytest.importorskip("httpx", reason="the extra `llm` is not installed")

BY = {"asker": "x"}
THINGS = [("mug", 1, "red", "matte"), ("car", 2, "blue", "metal"), ("mug", 3, "green", "metal")]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(speaker, "_FIRST_WAIT", 0.01)


@pytest.fixture
def folder(tmp_path):
    write_scenes(tmp_path / "items", [("shop", 1, n, t) for n, t in enumerate(THINGS, 1)])
    return tmp_path / "items"


@pytest.fixture
def jobs(folder):
    files = sorted((folder / "images").iterdir())
    return [Job(path, f"images/{path.name}") for path in files]


def between(url, budget=None, timeout=20.0, retries=3, questions=6):
    spending = Spending(budget or Budget())
    both = [
        Speaker(name, ChatEndpoint(url, name), spending, timeout, retries)
        for name in (ASKER, ANSWERER)
    ]
    return Dialogue(*both, questions=questions)


def run(jobs, dialogue, out, **options):
    with Journal.open(out, BY) as journal:
        return describe_all(jobs, dialogue, journal, **options)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("at_once", [1, 3])
def test_captions_say_what_the_answers_said(jobs, models, tmp_path, at_once):
    out = tmp_path / "captions.jsonl"
    with talking(models) as (url, asked):
        report = run(jobs, between(url), out, at_once=at_once)
    assert (report.described, report.known, report.failed, report.stopped) == (3, 0, (), None)
    found = {line["image"]: line for line in lines(out)}
    assert found["images/000001.jpg"]["caption"] == ["It is a car. It is blue. It is metal."]
    assert found["images/000001.jpg"]["dialogue"][0] == [FIRST, "It is a car."]
    assert [q for q, _ in found["images/000000.jpg"]["dialogue"]] == [FIRST, *ScriptedAsker.script]
    # Only the answerer is sent the image, and the asker hears the dialogue so far.
    seen = {body["model"]: body for body, _ in asked}
    assert image_of(seen[ANSWERER]["messages"][-1]).size == (48, 48)
    assert "image_url" not in json.dumps([b for b, _ in asked if b["model"] == ASKER])
    assert not (tmp_path / "captions.jsonl.turns").exists()
    captions = read_captions(out)
    assert (
        set(captions.images) == set(found)
        and "red" in captions.captions[captions.images.index("images/000000.jpg")]
    )


def test_questions_are_at_most_so_many_and_none_twice(jobs, models, tmp_path):
    with talking(models) as (url, _):
        run(jobs[:1], between(url, questions=1), tmp_path / "one.jsonl")
        models[ASKER].script = (FIRST.lower(),)
        run(jobs[:1], between(url), tmp_path / "same.jsonl")
    for name in ("one", "same"):
        assert len(lines(tmp_path / f"{name}.jsonl")[0]["dialogue"]) == 1


def test_a_run_goes_on_where_it_was_stopped(jobs, models, tmp_path):
    """Cut after every other request: no answer is asked for twice, the captions are the same."""
    whole, out = tmp_path / "at once.jsonl", tmp_path / "captions.jsonl"
    with talking(models) as (url, asked):
        run(jobs, between(url), whole)
        asked.clear()
        for _ in range(30):
            report = run(jobs, between(url, Budget(requests=2)), out)
            if report.stopped is None:
                break
            assert "budget of 2 requests is spent" in report.stopped
        seen = [json.dumps(body["messages"]) for body, _ in asked if body["model"] == ANSWERER]
    assert len(set(seen)) == len(seen) == 9
    assert lines(out) == lines(whole)


def test_a_half_line_of_a_killed_run_is_made_again(jobs, models, tmp_path):
    out = tmp_path / "captions.jsonl"
    with talking(models) as (url, _):
        run(jobs, between(url), out)
        whole = out.read_bytes()
        out.write_bytes(whole[:-20])
        assert run(jobs, between(url), out).described == 1
    assert out.read_bytes() == whole


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (Budget(tokens=100), "100 tokens is spent"),
        (Budget(requests=5), "5 requests is spent"),
        (Budget(seconds=1e-9), "seconds is spent"),
    ],
)
def test_budgets_end_a_run_and_keep_what_is_finished(jobs, models, tmp_path, budget, reason):
    out = tmp_path / "captions.jsonl"
    with talking(models, usage=20) as (url, asked):
        report = run(jobs, between(url, budget), out)
        assert reason in report.stopped
        assert len(asked) <= 6
        assert run(jobs, between(url), out).stopped is None
    assert len(lines(out)) == 3


@pytest.mark.parametrize("value", [0, -1])
def test_a_budget_of_nothing_is_refused(value):
    with pytest.raises(InputError, match="allows nothing"):
        Budget(requests=value)
    with pytest.raises(InputError, match="at least one question"):
        Dialogue(None, None, questions=value)


def test_an_endpoint_that_comes_back_is_asked_again(jobs, models, tmp_path):
    failing = iter([(500, {}, b""), (429, {"Retry-After": "0"}, b""), None, (503, {}, b"busy")])
    with talking(models, before=lambda number: next(failing, None)) as (url, asked):
        report = run(jobs, between(url), tmp_path / "c.jsonl")
    assert report.described == 3
    assert len(asked) == 3 + 3 * 7  # of each image: three answers, three questions... and a caption


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {}, b""), r"answered 500, 2 times: start it"),
        ((200, {}, b"<html>"), r"no chat completion, 2 times"),
        ((401, {}, b""), r"answered 401, .*\$FINESIGHT_VQA_KEY"),
        ((404, {}, b""), r"answered 404, .*--answerer-model"),
        ((400, {}, b""), r"answered 400, .*a model that sees images"),
    ],
)
def test_an_endpoint_that_fails_for_good_ends_a_run(jobs, models, tmp_path, answer, reason):
    """After the first image is finished, which is kept."""
    out = tmp_path / "c.jsonl"
    before = len(lines_of_one(jobs, models, tmp_path))
    with talking(models, before=lambda n: answer if n > before else None) as (url, asked):
        with pytest.raises(ServiceError, match=reason) as raised:
            run(jobs, between(url, retries=1), out)
        assert "1 captions are in" in str(raised.value) and "goes on" in str(raised.value)
        assert len(asked) <= before + 2
    assert len(lines(out)) == 1


def lines_of_one(jobs, models, tmp_path):
    """Return the requests that one image takes."""
    with talking(models) as (url, asked):
        run(jobs[:1], between(url), tmp_path / "one.jsonl")
    return asked


def test_a_dead_endpoint_is_told(jobs, models, tmp_path):
    with talking(models) as (url, _):
        pass
    with pytest.raises(ServiceError, match=r"cannot be reached .* 2 times: start it"):
        run(jobs, between(url, retries=1), tmp_path / "c.jsonl")


def test_a_slow_endpoint_is_told(jobs, models, tmp_path):
    ended = threading.Event()
    with talking(models, before=lambda n: ended.wait(20) and None) as (url, _):
        try:
            with pytest.raises(ServiceError, match=r"did not answer within 0.2 s, 2 times.*--time"):
                run(jobs, between(url, timeout=0.2, retries=1), tmp_path / "c.jsonl")
        finally:
            ended.set()


def test_nonsense_leaves_an_image_out_and_of_many_in_a_row_ends_a_run(jobs, models, tmp_path):
    sees = models[ANSWERER]
    wrong = {"red"}
    models[ANSWERER] = lambda m: "\x00\x01!!" if seen_color(sees, m) in wrong else sees(m)
    out = tmp_path / "c.jsonl"
    with talking(models) as (url, _):
        report = run(jobs, between(url), out)
        assert report.described == 2
        assert "000000.jpg: the answerer answerer gave nothing of use 3 times" in report.failed[0]
        wrong |= {"blue", "green"}
        with pytest.raises(ServiceError, match="of 3 images in a row: try another model"):
            run(jobs, between(url), tmp_path / "none.jsonl")
        wrong.clear()
        assert run(jobs, between(url), out).described == 1


def seen_color(sees, messages):
    look = dict(messages[-1])
    look["content"] = [{"type": "text", "text": "colour"}, messages[-1]["content"][1]]
    return sees([look]).removeprefix("It is ").rstrip(".")


def test_what_is_asked_again_is_asked_otherwise(models):
    said = iter(["", "?!?!?!", "It is red."])
    with talking({ANSWERER: lambda m: next(said)}) as (url, asked):
        answerer = between(url).answerer
        assert answerer.say([{"role": "user", "content": "x"}], 9, read_answer) == "It is red."
    assert [body["temperature"] for body, _ in asked] == [0.0, 0.7, 0.7]
    with talking({ANSWERER: lambda m: ""}) as (url, asked), pytest.raises(NonsenseError):
        between(url).answerer.say([{"role": "user", "content": "x"}], 9, read_answer)


def test_a_broken_image_is_left_out(jobs, models, tmp_path):
    jobs[1].path.write_bytes(b"broken")
    with talking(models) as (url, _):
        report = run(jobs, between(url), tmp_path / "c.jsonl")
    assert report.described == 2 and "000001.jpg" in report.failed[0]


def test_captions_made_otherwise_or_damaged_are_refused(tmp_path):
    out = tmp_path / "c.jsonl"
    with Journal.open(out, BY) as journal:
        journal.finished(("a.jpg", None), ["a mug"])
        with pytest.raises(InputError, match="another run is writing"), Journal.open(out, BY):
            pass
    other_way = Journal.open(out, {"asker": "y"})
    with pytest.raises(InputError, match=r"made otherwise \(asker differ"), other_way:
        pass
    other = tmp_path / "other.json"
    other.write_text('[{"image": "a.jpg", "caption": "a mug"}]')
    with pytest.raises(DataError, match="no file of captions"), Journal.open(other, BY):
        pass
    assert other.read_text().startswith("[")  # and nothing of it is lost
    out.write_text('{"x": 1}\n')
    with pytest.raises(DataError, match="line 1 is damaged"), Journal.open(out, BY):
        pass


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot"), Journal.open(tmp_path / "file" / "c", BY):
        pass


def test_time_is_counted(monkeypatch):
    now = [0.0]
    spending = Spending(Budget(seconds=10), clock=lambda: now[0])
    assert spending.within(60) == 10
    now[0] = 8.0
    assert spending.within(1) == 1 and spending.within(60) == 2
    now[0] = 10.0
    with pytest.raises(BudgetSpentError, match="10 seconds"):
        spending.begin()


def test_an_item_is_shown_in_the_square_around_its_box():
    image = Image.new("RGB", (200, 100))
    image.paste((255, 0, 0), (100, 40, 120, 60))
    part = part_of(image, (0.5, 0.4, 0.6, 0.6))
    assert abs(part.width - 22) <= 1 and abs(part.height - 22) <= 1
    assert (np.asarray(part)[..., 0] > 200).sum() == 400
    assert part_of(image, (0.999, 0.999, 1, 1)).width >= 1


def test_images_are_made_small_before_they_travel():
    url = data_url(Image.new("RGB", (4000, 1000)), 200)
    sent = image_of({"content": [{"type": "image_url", "image_url": {"url": url}}]})
    assert sent.size == (200, 50)


@pytest.mark.parametrize(
    ("read", "said", "found"),
    [
        (read_question, "<think>What?</think>Is it red?", "Is it red?"),
        (read_question, "I have no idea", None),
        (read_question, "<think>Is it red? Or", None),
        (read_question, "why " * 200 + "?", None),
        (read_answer, "It is\n red.", "It is red."),
        (read_answer, "12345 %%%% 33", None),
        (read_caption, "a mug", None),
        (read_caption, "A " + "very " * 200 + "red mug.", None),
    ],
)
def test_what_models_say_is_read(read, said, found):
    assert read(said) == found


def test_its_examples_are_true():
    assert doctest.testmod(dialogue_module).failed == 0
