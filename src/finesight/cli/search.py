"""`finesight search`: find images by what is in them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.options import CollectionOption, JsonOption, ModelOption, collection_folder
from finesight.cli.output import say

if TYPE_CHECKING:
    from finesight.types import Hit


def search(
    text: Annotated[str, typer.Argument(help='What to look for, such as "a photo of a red mug".')],
    collection: CollectionOption = None,
    model: ModelOption = None,
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    rank_by: Annotated[
        str,
        typer.Option(
            help="regions (the best one of the likeliest images), exact (of all images), fused "
            "(the kept vectors alone), whole (the whole image alone), or mean."
        ),
    ] = "regions",
    as_json: JsonOption = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print paths alone, for pipes.")] = False,
    save: Annotated[
        Path | None, typer.Option(help="Save the hits with their boxes drawn, and a sheet of them.")
    ] = None,
) -> None:
    """Search a collection; prints rank, score, path and the box of the best region in pixels.

    Example: finesight search "red mug" --collection ~/pictures.finesight -k 5
    """
    from finesight.collection import Collection

    hits = Collection.open(collection_folder(collection), model).search(text, k, rank_by)
    if save is not None:
        from finesight.drawing import save_hits

        say(f"saved {save_hits(hits, save)} images and sheet.jpg to {save}")
    if as_json:
        typer.echo(json.dumps([_plain(hit) for hit in hits]))
        return
    for hit in hits:
        if paths:
            typer.echo(str(hit.path))
        else:
            box = ",".join(str(edge) for edge in _pixels(hit))
            typer.echo(f"{hit.rank}\t{hit.score:.4f}\t{hit.path}\t{box}")


def _pixels(hit: "Hit") -> tuple[int, ...]:
    scale = (hit.width, hit.height) * 2
    return tuple(round(edge * side) for edge, side in zip(hit.box, scale, strict=True))


def _plain(hit: "Hit") -> dict[str, object]:
    return {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "path": str(hit.path),
        "box": [round(edge, 6) for edge in hit.box],
        "box_px": _pixels(hit),
        "id": hit.id,
    }
