"""`finesight status`: what a collection holds, and what was skipped."""

import json
from typing import Annotated

import typer

from finesight.cli.options import CollectionOption, JsonOption, collection_folder


def status(
    collection: CollectionOption = None,
    skipped: Annotated[
        bool, typer.Option("--skipped", help="List the files that were skipped, and why.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a collection holds: images, regions, model, size; or what was skipped.

    Example: finesight status --collection ~/pictures.finesight
    """
    from finesight.collection import Collection

    store = Collection.open(collection_folder(collection))
    if skipped:
        items = [(str(item.path), item.reason) for item in store.skipped()]
        if as_json:
            typer.echo(json.dumps([{"path": path, "reason": reason} for path, reason in items]))
        else:
            for path, reason in items:
                typer.echo(f"{path}\t{reason}")
        return
    facts = store.status()
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        typer.echo(f"{name:<12} {value:,}" if isinstance(value, int) else f"{name:<12} {value}")
