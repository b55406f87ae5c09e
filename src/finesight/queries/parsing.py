"""Reads queries of several parts: `red mug + photo.jpg@0,0,.5,.5 - 2:table`."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from finesight.errors import InputError
from finesight.images.open import SUFFIXES
from finesight.types import Part, Query

_SIGNS = {"+": 1.0, "-": -1.0}
_WORD = re.compile(r'(?:"[^"]*"|[^\s"])+|"')
_WEIGHT = re.compile(r"(?P<weight>\d+(?:\.\d+)?|\.\d+):(?P<rest>\S.*)", re.DOTALL)
_BOX = re.compile(r"(?P<file>.+)@(?P<box>[^@]*,[^@]*)", re.DOTALL)


def parse_query(typed: str | Sequence[str]) -> Query:
    """Return the query of one line, or of the arguments of a command.

    Parts stand between + and -, which are words of their own: `red mug + photo.jpg - table`. The
    words of a part need no quotes. In a line, double quotes keep a text whole ("nuts + bolts"); an
    argument is never split. A part is read by `parse_part`. Raises InputError for an empty part,
    and for a query that only takes away.
    """
    words = _WORD.findall(typed) if isinstance(typed, str) else typed
    if isinstance(typed, str) and '"' in words:
        raise InputError(f'{typed!r}: a double quote is not closed: add the other "')
    signed: list[tuple[float, list[str]]] = []
    for word in words:
        if word in _SIGNS or not signed:
            signed.append((_SIGNS.get(word, 1.0), []))
        if word not in _SIGNS:
            signed[-1][1].append(word.replace('"', "") if isinstance(typed, str) else word)
    parts = []
    for sign, part in signed:
        if not part:
            raise InputError(
                "+ and - stand between the parts of a query, and one part is missing: "
                'write, for example, "red mug" + photo.jpg - table'
            )
        one = parse_part(" ".join(part))
        parts.append(replace(one, weight=sign * one.weight))
    return checked(Query(tuple(parts)))


def parse_part(typed: str) -> Part:
    """Return one part: `[WEIGHT:]TEXT`, `[WEIGHT:]FILE` or `[WEIGHT:]FILE@x0,y0,x1,y1`.

    What ends like an image file is a file, anything else a text; `text:` or `image:` in front say
    otherwise. The box is normalised where all edges are at most 1, else in pixels.
    Raises InputError for an empty part or a box that is none.
    """
    rest, weight = typed.strip(), 1.0
    if match := _WEIGHT.fullmatch(rest):
        rest, weight = match["rest"].strip(), float(match["weight"])
        if weight == 0:
            raise InputError(f"{typed!r}: a part of weight 0 asks for nothing, leave it out")
    if rest.startswith("text:"):
        return Part(text=_not_empty(rest.removeprefix("text:")), weight=weight)
    forced = rest.startswith("image:")
    rest = _not_empty(rest.removeprefix("image:"))
    file, box = rest, None
    if (match := _BOX.fullmatch(rest)) and (forced or _is_image_file(match["file"])):
        file, box = match["file"], _box(match["box"], rest)
    if forced or _is_image_file(file):
        return Part(image=Path(file).expanduser(), box=box, weight=weight)
    return Part(text=rest, weight=weight)


def checked(query: Query) -> Query:
    """Return the query; raises InputError for one that cannot be answered, and says why."""
    if not query.parts:
        raise InputError('the query is empty: say what to look for, such as "red mug"')
    for part in query.parts:
        given = [each for each in (part.text, part.image, part.near) if each is not None]
        if len(given) != 1:
            raise InputError(f"a part of a query is a text, an image or near an image: {part}")
        if part.text is not None:
            _not_empty(part.text)
        if part.box is not None:
            if part.image is None:
                raise InputError(f"{part_name(part)!r} has a box, which only an image can have")
            check_box(part.box, part_name(part))
        if not math.isfinite(part.weight) or part.weight == 0:
            raise InputError(f"{part_name(part)!r} has the weight {part.weight}: give another")
    if not any(part.weight > 0 for part in query.parts):
        raise InputError(
            "the query only takes away: add what to look for, for example: mug - table"
        )
    return query


def part_name(part: Part) -> str:
    """Return the part in words, as it is shown beside a hit."""
    if part.text is not None:
        return part.text
    if part.near is not None:
        return f"near {part.near.name}"
    name = part.image.name if isinstance(part.image, Path) else "image"
    return name + ("@" + ",".join(f"{edge:g}" for edge in part.box) if part.box else "")


def check_box(box: tuple[float, float, float, float], name: str) -> None:
    """Raise InputError where a box is none: x0 < x1 and y0 < y1, nothing below 0."""
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        raise InputError(
            f"{name}: a box is x0,y0,x1,y1 with x0 < x1 and y0 < y1, nothing below 0, got "
            + ",".join(f"{edge:g}" for edge in box)
        )


def _not_empty(text: str) -> str:
    if not text.strip():
        raise InputError('the query is empty: say what to look for, such as "red mug"')
    return text.strip()


def _is_image_file(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _box(typed: str, part: str) -> tuple[float, float, float, float]:
    try:
        x0, y0, x1, y1 = (float(edge) for edge in typed.split(","))
    except ValueError as error:
        raise InputError(
            f"{part!r}: behind the @ stand four numbers x0,y0,x1,y1, each in 0..1, or in pixels "
            f"where one is above 1; got {typed!r}"
        ) from error
    check_box((x0, y0, x1, y1), part)
    return x0, y0, x1, y1
