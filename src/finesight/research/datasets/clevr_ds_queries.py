"""Reads the typed queries of CLEVR-DS: five kinds, each with every image that it is true of."""

import json
from pathlib import Path

from finesight.errors import DataError, InputError
from finesight.research.datasets.typed_queries import TypedQueries, TypedQuery


def load(directory: Path) -> TypedQueries:
    """Read `queries.jsonl` of a scene set; images are its numbers, as text.

    Raises InputError where there is none, DataError where it is damaged.
    """
    path, scenes = directory / "queries.jsonl", directory / "scenes.jsonl"
    if not path.is_file() or not scenes.is_file():
        raise InputError(f"{directory} has no queries.jsonl: make the set with `finesight render`")
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        queries = tuple(
            TypedQuery(line["kind"], line["text"], frozenset(map(str, line["relevant"])))
            for line in lines
        )
        numbers = [json.loads(line)["index"] for line in scenes.read_text("utf-8").splitlines()]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error!r}): render the set again") from error
    return TypedQueries(queries, tuple(map(str, numbers)))
