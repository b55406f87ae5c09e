"""Conditions on the columns of a collection, checked before they are used."""

import re

import lance
import pyarrow as pa

from finesight.errors import InputError
from finesight.queries import path_condition

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")


def condition(
    dataset: lance.LanceDataset, where: str | None = None, path: str | None = None
) -> str | None:
    """Return one SQL condition of a filter and a glob on paths, or None where there is neither.

    where: a condition as in SQL's WHERE, such as "width > 1000 AND path LIKE '%beach%'".
    Raises InputError for one that the collection cannot answer, with the columns there are.
    """
    conditions = []
    if where is not None:
        conditions.append(f"({_checked(dataset, where)})")
    if path is not None:
        glob = path_condition(path)
        try:
            _try(dataset, glob)
        except ValueError as error:
            raise InputError(f"the path glob {path!r} cannot be read: check its [ and ]") from error
        conditions.append(glob)
    return " AND ".join(conditions) or None


def quoted(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'{}'".format(text.replace("'", "''"))


def _checked(dataset: lance.LanceDataset, where: str) -> str:
    if not where.strip():
        raise InputError("the filter is empty: write, for example, width > 1000")
    try:
        if re.search(r"[;$?]|--|/\*", _QUOTED.sub("", where)):
            raise ValueError("one condition is allowed, without ; $ ? and comments")
        _try(dataset, where)
    except ValueError as error:
        columns = ", ".join(field.name for field in dataset.schema if _is_plain(field.type))
        raise InputError(
            f"the filter {where!r} cannot be used ({_reason(error)}): compare the columns "
            f"{columns} as in SQL, for example \"width > 1000 AND path LIKE '%beach%'\""
        ) from error
    return where


def _try(dataset: lance.LanceDataset, where: str) -> None:
    """Run a condition on all rows; raises ValueError where that fails."""
    try:
        dataset.count_rows(filter=where)
    except (ValueError, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(str(error)) from error


def _reason(error: ValueError) -> str:
    """Return what the store said, without its prefixes and the place in its source."""
    text = re.sub(r",? ?/\S+\.rs:\d+:\d+.*", "", str(error), flags=re.DOTALL)
    text = re.sub(
        r"^(?:[A-Z][A-Za-z/ ]+ ?(?:user input|error|filter expression[^:]*): )+", "", text
    )
    text = " ".join(text.split())
    return (text if len(text) <= 200 else text[:197] + "...") or "it is not understood"


def _is_plain(type_: pa.DataType) -> bool:
    return not (pa.types.is_list(type_) or pa.types.is_fixed_size_list(type_))
