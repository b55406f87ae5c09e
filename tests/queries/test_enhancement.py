import json
import threading
import time
import warnings
from contextlib import contextmanager

import pytest
from local_server import Handler, serving

from finesight.errors import InputError
from finesight.queries.enhancement import LanguageModel, NotEnhancedWarning

pytest.importorskip("httpx")

LINES = '1. a red mug on a table\n2. "a mug that is red"\n- a red mug on a table\n'


@contextmanager
def endpoint(*answers, wait=0.0, status=200, body=None):
    """An endpoint on this machine that gives these answers in turn; yields url and requests."""
    asked, left = [], list(answers)
    ended = threading.Event()

    class Endpoint(Handler):
        def do_POST(self):
            asked.append((self.path, dict(self.headers), self.read()))
            ended.wait(wait)
            message = {"choices": [{"message": {"content": left.pop(0) if left else ""}}]}
            self.answer(status, body if body is not None else json.dumps(message).encode())

    with serving(Endpoint) as url:
        try:
            yield f"{url}/v1", asked
        finally:
            ended.set()


def test_descriptions_are_lines_without_numbers_and_quotes_each_once():
    with endpoint(LINES) as (url, asked):
        found = LanguageModel(url, "small").describe("red mug")
    assert found == ["a red mug on a table", "a mug that is red"]
    path, headers, body = asked[0]
    assert path == "/v1/chat/completions" and body["model"] == "small"
    assert "Authorization" not in headers
    assert "red mug" in body["messages"][0]["content"]


def test_what_a_model_thinks_aloud_is_no_description():
    with endpoint("<think>a cup?\nhm</think>\nHere they are:\na mug") as (url, _):
        assert LanguageModel(url, "m").describe("mug") == ["a mug"]


def test_a_key_is_sent_as_a_token_and_not_shown():
    with endpoint("a mug") as (url, asked):
        model = LanguageModel(url, "m", key="secret-token")
        model.describe("mug")
    assert asked[0][1]["Authorization"] == "Bearer secret-token"
    assert "secret" not in repr(model)


def test_a_second_question_sorts_out_what_misses_the_meaning():
    with endpoint("a red mug\na blue mug\na mug that is red", "1, 3") as (url, asked):
        found = LanguageModel(url, "m", check=True).describe("red mug")
    assert found == ["a red mug", "a mug that is red"]
    assert "2. a blue mug" in asked[1][2]["messages"][0]["content"]


def test_an_answer_is_kept_by_model_and_query(tmp_path):
    with endpoint("a mug", "a cup", "a jug") as (url, asked):
        one, other = (LanguageModel(url, name, cache=tmp_path / "kept") for name in ("a", "b"))
        assert one.describe("mug") == one.describe("mug") == ["a mug"]
        assert other.describe("mug") == ["a cup"]
        assert one.describe("jug") == ["a jug"]
    assert len(asked) == 3
    assert one.describe("mug") == ["a mug"]  # the endpoint is gone


def test_a_damaged_answer_is_asked_for_anew(tmp_path):
    with endpoint("a mug", "a cup") as (url, _):
        model = LanguageModel(url, "m", cache=tmp_path)
        model.describe("mug")
        for file in tmp_path.iterdir():
            file.write_text("{")
        assert model.describe("mug") == ["a cup"]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"status": 500}, "answered 500"),
        ({"body": b"<html>"}, "no chat completion"),
        ({"body": b'{"choices": []}'}, "no chat completion"),
        ({"wait": 60}, "did not answer within 0.2 s"),
        ({}, "gave no descriptions"),
    ],
)
def test_an_endpoint_that_fails_leaves_the_query_as_typed(how, reason, tmp_path):
    with endpoint(**how) as (url, _):
        model = LanguageModel(url, "m", timeout=0.2 if "wait" in how else 2.0, cache=tmp_path)
        with pytest.warns(NotEnhancedWarning, match=reason):
            assert model.describe("mug") == []
    assert not list(tmp_path.iterdir())


def test_a_dead_endpoint_leaves_the_query_as_typed():
    with endpoint() as (url, _):
        pass
    with pytest.warns(NotEnhancedWarning, match="cannot be reached"):
        assert LanguageModel(url, "m").describe("mug") == []


def test_an_endpoint_that_trickles_is_not_waited_for():
    """Every byte comes in time, the answer does not."""
    ended = threading.Event()

    class Trickling(Handler):
        def do_POST(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            try:
                while not ended.wait(0.05):
                    self.wfile.write(b" ")
            except OSError:
                pass

    with serving(Trickling) as url:
        start = time.monotonic()
        with pytest.warns(NotEnhancedWarning, match="did not answer"):
            assert LanguageModel(url, "m", timeout=0.5).describe("mug") == []
        assert time.monotonic() - start < 20  # and not until the 1,000 bytes are there
        ended.set()


def test_a_wrong_address_is_refused():
    with pytest.raises(InputError, match="no address of a language model"):
        LanguageModel("localhost:11434", "m").describe("mug")


def test_a_cache_that_cannot_be_written_costs_only_the_cache(tmp_path):
    (tmp_path / "file").write_text("")
    with endpoint("a mug") as (url, _), warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LanguageModel(url, "m", cache=tmp_path / "file" / "below")
        assert model.describe("mug") == ["a mug"]
