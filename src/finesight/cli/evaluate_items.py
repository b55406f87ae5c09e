"""`finesight evaluate --protocol items`: the same thing in another photo."""

import json
from pathlib import Path

import typer

from finesight.cli.output import progress_bar, say, say_some


def evaluate_items(
    dataset: Path, model: str | None, regions: str | None, matched_only: bool, as_json: bool
) -> None:
    """Look at an item set's photos with a model, and print how well items are found."""
    from finesight.models import DEFAULT, load_model
    from finesight.research.datasets import ItemSet, read_items
    from finesight.research.evaluation import item_retrieval

    items: ItemSet = read_items(dataset)
    report_problems(items.problems)
    if matched_only:
        lost = len(items.unmatched())
        items = items.matched()
        say(f"{lost} queries without a shop photo are left out")
    item_retrieval.refuse_unmatched(items)
    loaded = load_model(model or DEFAULT)
    if loaded.item_head is None:
        say(
            f"{loaded.source} has no item head: these are its encoder's embeddings (train a head "
            "with `finesight train items`)"
        )
    with progress_bar("evaluating", "photos", len(items.photos)) as advance:
        rows = item_retrieval.evaluate_items(items, loaded, regions, advance)
    if as_json:
        typer.echo(json.dumps([row.plain() for row in rows]))
    else:
        typer.echo(item_retrieval.format_items(items, rows))


def report_problems(problems: tuple[str, ...]) -> None:
    """Print what was left out of a dataset, the first few with their reasons."""
    say_some("left out", problems, "photos or items")
