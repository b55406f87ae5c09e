"""Conditions in SQL on the columns of a collection, checked before they are used."""

import datetime
import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import PurePosixPath

import pyarrow as pa

from finesight.errors import InputError
from finesight.queries.filters import NO_FILTERS, Filters

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_PIECE = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
_SLASH = r"[/\\]"
_REFUSED = (ValueError, OSError, RuntimeError)  # what Lance raises for a bad condition
_SHAPES = {"landscape": ">", "portrait": "<", "square": "="}  # of width and height


Count = Callable[[str], int]
"""How many images of a table meet a condition; fails for one that the table cannot answer."""


def condition(
    schema: pa.Schema,
    count: Count,
    where: str | None = None,
    filters: Filters = NO_FILTERS,
    root: Callable[[], str] = lambda: "",
) -> str | None:
    """Return one condition of a filter in SQL and of structured filters; None for neither.

    schema, count: of the table it is for, which tries it; where: as in SQL's WHERE, such as
    "width > 1000 AND path LIKE '%beach%'"; root: gives the folder that all images share, below
    which paths are meant.
    Raises InputError for one that the collection cannot answer, with the columns there are.
    """
    conditions = []
    if where is not None:
        conditions.append(f"({_checked(schema, count, where)})")
    if filters.path is not None:
        conditions.append(path_condition(filters.path, root()))
        try:
            count(conditions[-1])
        except _REFUSED as error:
            raise InputError(
                f"the path glob {filters.path!r} cannot be read: check its [ and ]"
            ) from error
    return " AND ".join([*conditions, *_conditions_of(filters, root)]) or None


def path_condition(glob: str, root: str) -> str:
    """Return the condition that a path matches a glob below a root, as `Filters.path` says.

    One that begins with a slash is anchored at the root, or is a whole path.
    """
    pattern = "".join(_translated(piece) for piece in _PIECE.findall(glob.strip().strip("/")))
    below = re.escape(root.rstrip("/\\"))
    start = f"^{below}{_SLASH}"
    start = f"({start}|^{_SLASH})" if glob.startswith("/") else f"{start}(.*{_SLASH})?"
    return f"regexp_like(path, {quoted(f'{start}{pattern}({_SLASH}.*)?$')})"


def quoted(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'{}'".format(text.replace("'", "''"))


def one_of(column: str, values: Iterable[str | int]) -> str:
    """Return the condition that a column has one of some values, texts or whole numbers."""
    listed = ", ".join(quoted(v) if isinstance(v, str) else str(int(v)) for v in values)
    return f"{column} IN ({listed})" if listed else "false"


def _conditions_of(filters: Filters, root: Callable[[], str]) -> Iterator[str]:
    for column, (end, sign) in product(("width", "height"), (("min", ">="), ("max", "<="))):
        if (value := getattr(filters, f"{end}_{column}")) is not None:
            yield f"{column} {sign} {int(value)}"
    if filters.shape is not None:
        yield f"width {_SHAPES[filters.shape]} height"
    if filters.folder is not None:
        start = os.path.join(root(), *PurePosixPath(filters.folder).parts, "")  # noqa: PTH118
        yield f"starts_with(path, {quoted(start)})"
    if filters.taken_from is not None:
        yield f"taken >= TIMESTAMP {quoted(filters.taken_from)}"
    if filters.taken_to is not None:
        after = datetime.date.fromisoformat(filters.taken_to) + datetime.timedelta(days=1)
        yield f"taken < TIMESTAMP '{after}'"
    if filters.camera is not None:
        yield f"contains(lower(camera), {quoted(filters.camera.lower())})"
    for name, value in filters.metadata.items():
        key = quoted('$."{}"'.format(name.replace('"', "")))
        plain, text = quoted(str(value)), quoted(f'"{value}"')
        yield (
            f"(json_extract(metadata, {key}) IN ({plain}, {text}) "
            f"OR json_array_contains(metadata, {key}, {plain}))"
        )


def _translated(piece: str) -> str:
    known = {"**/": f"(.*{_SLASH})?", "**": ".*", "*": r"[^/\\]*", "?": r"[^/\\]", "/": _SLASH}
    if piece in known:
        return known[piece]
    if len(piece) > 1:  # a set of characters
        inside = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(piece)


def _checked(schema: pa.Schema, count: Count, where: str) -> str:
    if not where.strip():
        raise InputError("the filter is empty: write, for example, width > 1000")
    try:
        if re.search(r"[;$?]|--|/\*", _QUOTED.sub("", where)):
            raise ValueError("one condition is allowed, without ; $ ? and comments")
        count(where)
    except _REFUSED as error:
        lists = (pa.types.is_list, pa.types.is_fixed_size_list)
        plain = [f.name for f in schema if not any(is_list(f.type) for is_list in lists)]
        raise InputError(
            f"the filter {where!r} cannot be used ({_reason(error)}): compare the columns "
            f"{', '.join(plain)} as in SQL, for example \"width > 1000 AND path LIKE '%beach%'\""
        ) from error
    return where


def _reason(error: Exception) -> str:
    """Return what the store said, without its prefixes and the place in its source."""
    text = re.sub(r",? ?/\S+\.rs:\d+:\d+.*", "", str(error), flags=re.DOTALL)
    text = re.sub(
        r"^(?:[A-Z][A-Za-z/ ]+ ?(?:user input|error|filter expression[^:]*): )+", "", text
    )
    text = " ".join(text.split())
    return (text if len(text) <= 200 else text[:197] + "...") or "it is not understood"
