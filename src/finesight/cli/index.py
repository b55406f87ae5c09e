"""`finesight index`: look at images and keep what was seen."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from finesight.cli.options import CollectionOption, ModelOption, collection_folder
from finesight.cli.output import progress_bar, say


def index(
    paths: Annotated[list[Path], typer.Argument(help="Folders and image files.")],
    collection: CollectionOption = None,
    model: ModelOption = None,
    regions: Annotated[
        str | None,
        typer.Option(help="Where to look: full, cc5, cc10, cc10-paper, grid10; else the model's."),
    ] = None,
    vectors: Annotated[
        int | None,
        typer.Option(min=1, help="Fused vectors kept of each image, by which it is found; 8."),
    ] = None,
) -> None:
    """Index images so that they can be searched; again, only what is new or changed.

    Example: finesight index ~/Pictures --collection ~/pictures.finesight --model mini
    """
    from finesight.collection import Collection

    store = Collection.open(collection_folder(collection), model)
    with progress_bar("indexing", "images") as advance:
        report = store.add(paths, regions, advance, vectors)
    for item in report.skipped:
        say(f"skipped {item.path}: {item.reason}")
    say(
        f"{report.indexed} indexed, {report.unchanged} unchanged, {len(report.skipped)} skipped"
        + _reasons(report.skipped)
    )


def _reasons(skipped: tuple[Any, ...]) -> str:
    """Return the reasons with their numbers, the most frequent first."""
    counts = Counter(item.reason.split(":")[0] for item in skipped)
    return (
        ": " + ", ".join(f"{reason} ({n})" for reason, n in counts.most_common()) if counts else ""
    )
