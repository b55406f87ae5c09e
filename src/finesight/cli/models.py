"""`finesight models`: what there is to choose from."""

import json
from dataclasses import asdict

import typer

from finesight.cli.options import JsonOption


def models(as_json: JsonOption = False) -> None:
    """List models: bundled, in the hub's cache, and recommended, with size, languages and speed.

    Any other repository of the hub or folder with a CLIP-like model can be named as well.
    """
    from finesight.models.catalogue import list_models

    found = list_models()
    if as_json:
        typer.echo(json.dumps([asdict(model) for model in found]))
        return
    typer.echo(f"{'model':<46}{'':<13}{'size':>9}  {'languages':<18}{'input':>6}  speed")
    for model in found:
        size = "" if model.megabytes is None else f"{model.megabytes:.0f} MB"
        side = "" if model.side is None else f"{model.side}"
        typer.echo(
            f"{model.source:<46}{model.status:<13}{size:>9}  {model.languages:<18}{side:>6}  "
            f"{model.speed}"
        )
