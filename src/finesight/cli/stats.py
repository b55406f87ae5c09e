"""`finesight stats`: what is in scene sets."""

from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption
from finesight.cli.output import say


def stats(
    sets: Annotated[list[Path], typer.Argument(help="Folders that `finesight render` wrote.")],
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the figure: a .png, .svg or .pdf file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print how many objects of which classes and sizes scene sets hold, beside the paper's.

    Example: finesight stats scenes/train scenes/test --plot sets.svg
    """
    from finesight.errors import InputError
    from finesight.research.datasets.clevr_ds import load
    from finesight.research.evaluation.table import to_json
    from finesight.research.scenes import statistics

    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{plot}: the figure is a .png, .svg or .pdf file")
    loaded = [load(folder) for folder in sets]
    found = [
        statistics.count(folder.resolve().name, [each])
        for folder, each in zip(sets, loaded, strict=True)
    ]
    if len(found) > 1:
        found.append(statistics.count("all", loaded))
    if as_json:
        typer.echo(to_json([each.plain() for each in found]))
    else:
        typer.echo(statistics.format_statistics(found))
    if plot is not None:
        statistics.plot(found[: len(sets)], plot)
        say(f"figure in {plot}")
