"""Figures as a table for people and as JSON: one form for all evaluations and experiments."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence

Cell = str | int | float | None
"""A float is shown with one decimal, None as "-"; text and whole numbers as they are."""


def format_table(
    head: Sequence[Cell], rows: Iterable[Sequence[Cell]], widths: Sequence[int] = (), gap: int = 2
) -> str:
    """Return rows under their head, the first column to the left, the others to the right.

    An empty row is an empty line. Columns are as wide as they need, `gap` blanks apart; widths:
    what the first, the second ... have at least, the last one of every further column.

    >>> print(format_table(("%", "R@1", "paper"), [("whole image", 20.0, None)], (14, 8)))
    %                  R@1   paper
    whole image       20.0       -
    """
    shown = [[_shown(cell) for cell in row] for row in (head, *rows)]
    columns = max(map(len, shown))
    least = [*widths, *[widths[-1] if widths else 0] * columns]
    wide = [
        max(least[i], *(len(row[i]) + gap * (i > 0) for row in shown if i < len(row)))
        for i in range(columns)
    ]
    lines = []
    for row in shown:
        first, *others = row or [""]
        cells = [cell.rjust(width) for cell, width in zip(others, wide[1:], strict=False)]
        lines.append("".join([first.ljust(wide[0]), *cells]).rstrip())
    return "\n".join(lines)


def beside(value: float, paper: float | None) -> str:
    """Return a figure with the paper's in brackets, or with as much room as that would take.

    >>> beside(0.5, 20.354), beside(0.5, None)
    ('0.5 [20.35]', '0.5        ')
    """
    return f"{value:.1f} " + ("" if paper is None else f"[{paper:5.2f}]").ljust(7)


def to_json(found: object) -> str:
    """Return figures as JSON, in which those that are not a number (nan) are null."""
    return json.dumps(without_nan(found), allow_nan=False)


def without_nan(value: object) -> object:
    """Return plain data in which None stands for what is not a number.

    >>> without_nan({"recall": (0.5, float("nan"))})
    {'recall': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)
