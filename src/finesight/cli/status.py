"""`finesight status`: what a collection holds."""

import json

import typer

from finesight.cli.options import CollectionOption, JsonOption, collection_folder


def status(collection: CollectionOption = None, as_json: JsonOption = False) -> None:
    """Say what a collection holds: images, regions, model, size.

    Example: finesight status --collection ~/pictures.finesight
    """
    from finesight.collection import Collection

    facts = Collection.open(collection_folder(collection)).status()
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        typer.echo(f"{name:<12} {value:,}" if isinstance(value, int) else f"{name:<12} {value}")
