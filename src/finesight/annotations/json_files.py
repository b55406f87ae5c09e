"""Reads JSON that others wrote: a whole file, or one with a record a line."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from finesight.errors import DataError, InputError

T = TypeVar("T")

MALFORMED = (AttributeError, KeyError, TypeError, ValueError, OverflowError)
"""What is raised where JSON is not what it is read as: see `expecting`."""


@contextmanager
def expecting(wrong: str, needs: str) -> Iterator[None]:
    """Raise DataError, "{wrong} (what is malformed): {needs}", for one of MALFORMED inside."""
    try:
        yield
    except MALFORMED as error:
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        raise DataError(f"{wrong} ({reason}): {needs}") from error


def parse_json(text: str | bytes, strict: bool = False) -> Any:
    """Read JSON; raises ValueError for what is none, or nested too deeply to be read.

    strict: NaN and infinity, which JSON does not have but many files do, become null.
    """
    try:
        return json.loads(text, parse_constant=(lambda name: None) if strict else None)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json(path: Path, mend: str = "download it again") -> Any:
    """Return what a file holds; raises InputError where it cannot be read, else DataError.

    mend: what to do about a damaged file, in words.
    """
    try:
        with expecting(f"{path} is damaged, or is not JSON", mend):
            return parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def read_json_lines(
    path: Path,
    read: Callable[[Any], T],
    wrong: str = "is damaged, or is not JSON",
    mend: str = "remove that line",
) -> list[T]:
    """Return what `read` makes of the JSON of each line that is not empty.

    wrong and mend: what is said of a line, and what to do, where that raises one of MALFORMED.
    Raises InputError where the file cannot be read, DataError for such a line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    found = []
    for number, line in json_lines(text):
        with expecting(f"{path}, line {number} {wrong}", mend):
            found.append(read(parse_json(line)))
    return found


def json_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that are not empty, with their numbers from 1.

    Only a line feed ends a line: JSON's texts may hold the rarer separators as they are.
    """
    lines = enumerate(text.split("\n"), 1)
    return [(number, line) for number, line in lines if line.strip()]
