"""Reads the typed queries of CLEVR-DS: five kinds, each with every image that it is true of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.annotations.json_files import read_json_lines
from finesight.errors import InputError
from finesight.research.datasets.typed_queries import TypedQueries, TypedQuery


def load(directory: Path) -> TypedQueries:
    """Read `queries.jsonl` of a scene set; images are its numbers, as text.

    Raises InputError where there is none, DataError where it is damaged.
    """
    path, scenes = directory / "queries.jsonl", directory / "scenes.jsonl"
    if not path.is_file() or not scenes.is_file():
        raise InputError(f"{directory} has no queries.jsonl: make the set with `finesight render`")
    said = "is damaged", "render the set again"
    queries = read_json_lines(path, _query, *said)
    numbers = read_json_lines(scenes, lambda scene: str(scene["index"]), *said)
    return TypedQueries(tuple(queries), tuple(numbers))


def _query(line: Mapping[str, Any]) -> TypedQuery:
    return TypedQuery(line["kind"], line["text"], frozenset(map(str, line["relevant"])))
