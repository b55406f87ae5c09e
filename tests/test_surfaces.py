"""Every way to search offers the same: Python, the command line, HTTP and the client."""

import inspect
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import get_args

import pytest
import typer

pytest.importorskip("fastapi", reason="the extra `server` is not installed")

from finesight.cli.app import app
from finesight.cli.search import _request
from finesight.client import Client
from finesight.collection import Collection
from finesight.errors import InputError
from finesight.queries import Filters, SearchRequest
from finesight.queries.filters import SHAPES
from finesight.queries.request import RANKING_ALIASES, RANKINGS
from finesight.scoring.rank_fusion import RANK_FUSIONS
from finesight.server.schemas import FilterBody, Listing, SearchBody, _options_of
from finesight.server.searching import request_of
from finesight.types import Part

UNSET = {
    ("http", "where"): "a stranger's SQL would be run: structured filters alone are taken",
    ("client", "where"): "as over HTTP",
}
"""What a way to search cannot set, and why."""

CLI_NAMES = {"parts": "query", "descriptions": "description", "metadata": "meta"}
"""Options of the command line that are called otherwise: those that are given several times."""

RECORD = {each.name: each for each in fields(SearchRequest) if each.name != "filters"}
FILTERS = {each.name: each for each in fields(Filters)}

FILLED = {
    "k": 7,
    "offset": 3,
    "rank_by": "exact",
    "detail": 0.5,
    "split": "off",
    "prompts": True,
    "descriptions": ("a crimson cup",),
    "rank_fusion": "votes",
    "rerank": "adapt",
    "rerank_top": 30,
    "min_relevance": 0.25,
    "group": True,
    "path": "2024/**",
    "folder": "june",
    "min_width": 100,
    "min_height": 90,
    "max_width": 2000,
    "max_height": 1900,
    "shape": "landscape",
    "taken_from": "2024-06-01",
    "taken_to": "2024-06-30",
    "camera": "canon",
    "metadata": {"author": "Ann"},
}
"""Every option of a search that goes with the others, each but as it is by default."""


def options():
    """The parameters of `finesight search`, by their names."""
    return {each.name: each for each in typer.main.get_command(app).commands["search"].params}


def default_of(field):
    if field.default is not MISSING:
        return field.default
    return None if field.default_factory is MISSING else field.default_factory()


def request():
    return SearchRequest.of("red mug", **FILLED)


def sent(monkeypatch, *asked, **more):
    """What the client sends for a search."""
    bodies = []

    def answered(self, path, body, kind):
        bodies.append(json.loads(body))
        return {"hits": []}

    monkeypatch.setattr(Client, "_json", answered)
    Client().search(*asked, **more)
    return bodies[0]


@pytest.mark.parametrize("name", [*RECORD, *FILTERS])
def test_every_field_can_be_set_everywhere(name, monkeypatch):
    offered = {
        "cli": CLI_NAMES.get(name, name) in options(),
        "http": name in SearchBody.model_fields or name in FilterBody.model_fields,
        "listing": name in RECORD or name in Listing.model_fields,
    }
    body = sent(monkeypatch, request())
    offered["client"] = name in body or name in body["filters"]
    lacking = {surface for surface, there in offered.items() if not there}
    assert lacking == {surface for surface, field in UNSET if field == name}


@pytest.mark.parametrize("name", [name for name in (*RECORD, *FILTERS) if name != "parts"])
def test_defaults_agree(name):
    field = RECORD.get(name) or FILTERS[name]
    default = default_of(field)
    assert (options()[CLI_NAMES.get(name, name)].default or None) == (default or None)
    if ("http", name) not in UNSET:
        schema = SearchBody if name in RECORD else FilterBody
        given = schema.model_fields[name].get_default(call_default_factory=True)
        assert (given or None) == (default or None)
    for function in (Collection.search, Client.search):
        parameter = inspect.signature(function).parameters.get(name)
        assert parameter is None or parameter.default is None  # the record's


def test_the_choices_agree():
    def choices(name, schema=SearchBody):
        kinds = get_args(schema.model_fields[name].annotation)
        return [get_args(kind) or kind for kind in kinds if kind is not type(None)]

    assert choices("rank_by") == [*RANKINGS, *RANKING_ALIASES]
    assert choices("split") == ["auto", "off"]
    assert choices("rank_fusion") == list(RANK_FUSIONS)
    assert choices("shape", FilterBody) == [SHAPES]


def test_whichever_way_it_is_the_same_request(monkeypatch):
    expected = request()
    given = {name: each.default for name, each in options().items()} | FILLED
    given |= {"query": ["red mug"], "meta": ["author=Ann"]}
    given |= {"description": list(given.pop("descriptions"))}
    del given["metadata"]
    assert _request(given) == expected
    body = SearchBody.model_validate(sent(monkeypatch, expected))
    assert request_of(None, body, []) == expected
    assert sent(monkeypatch, "red mug", **FILLED) == sent(monkeypatch, expected)
    words = {"text": "red mug", "words": True}
    assert request_of(None, SearchBody(**words), []) == SearchRequest.of("red mug", words=True)


def test_earlier_names_go_on_working(capsys):
    given = {name: each.default for name, each in options().items()}
    given |= {"query": ["red mug"], "parts": "off", "rank_by": "whole"}
    assert _request(given) == SearchRequest.of("red mug", split="off", rank_by="global")
    notes = ["--parts is called --split now", "--rank-by whole is called global now"]
    assert capsys.readouterr().err.splitlines() == notes
    with pytest.warns(FutureWarning, match="parts is called split now"):
        assert SearchRequest.of("red mug", parts="off").split == "off"
    body = SearchBody(text="red mug", rank_by="fused")
    assert request_of(None, body, []).rank_by == "pooled"


def test_what_the_client_cannot_send_is_refused():
    for asked, message in (({"where": "width > 9"}, "SQL"), ({"colour": "red"}, "'colour'")):
        with pytest.raises(InputError, match=message):
            Client().search("red", **asked)
    with pytest.raises(InputError, match="holds its options already"):
        Client().search(request(), k=9)
    with pytest.raises(InputError, match="by its id"):
        Client().search([Part(near=Path("a.jpg"))])


def test_a_new_field_of_the_record_travels_over_http_at_once():
    @dataclass(frozen=True)
    class Longer(SearchRequest):
        newest_first: bool = False

    body = _options_of(Longer, "filters", "where")
    assert body.model_fields["newest_first"].default is False
    assert not {"where", "filters"} & set(body.model_fields)
