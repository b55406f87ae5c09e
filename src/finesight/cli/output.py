"""How commands speak: results to stdout, progress and messages to stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer


def say(message: str) -> None:
    """Print one line for people, to stderr."""
    print(message, file=sys.stderr)


def say_some(what: str, reasons: Sequence[str], things: str, shown: int = 5) -> None:
    """Print the first few of many reasons, a line each, and how many more things there are."""
    for reason in reasons[:shown]:
        say(f"{what}: {reason}")
    if len(reasons) > shown:
        say(f"{what}: {len(reasons) - shown} more {things}")


def show(found: Any, lines: Iterable[str], as_json: bool) -> None:
    """Print a result to stdout: its plain data as JSON, or its lines for people."""
    for line in [json.dumps(found)] if as_json else lines:
        typer.echo(line)


@contextmanager
def progress_bar(doing: str, unit: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a bar on stderr while the block runs; yields a function (done, total=None).

    Nothing is drawn where stderr is not a terminal.
    """
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn(doing),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn(unit),
        progress.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with progress.Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done, total=None: bar.update(task, completed=done, total=total)
