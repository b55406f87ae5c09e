"""`finesight duplicates`: images that are there more than once."""

import json
from typing import Annotated

import typer

from finesight.cli.options import CollectionOption, JsonOption, collection_folder
from finesight.cli.output import progress_bar, say


def duplicates(
    collection: CollectionOption = None,
    near: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="The least cosine from which images count as nearly the same."
        ),
    ] = 0.98,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare bytes and pixels alone, which is fast.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List groups of images with the same bytes, the same pixels, or nearly the same embedding.

    Each line has the kind, the similarity and a path; an empty line ends a group.

    Example: finesight duplicates --exact --collection ~/pictures.finesight
    """
    from finesight.collection import Collection

    store = Collection.open(collection_folder(collection))
    with progress_bar("comparing", "images") as advance:
        groups = store.duplicates(None if exact else near, advance)
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {"kind": g.kind, "similarity": g.similarity, "paths": [str(p) for p in g.paths]}
                    for g in groups
                ]
            )
        )
    else:
        for number, group in enumerate(groups):
            if number:
                typer.echo()
            for path in group.paths:
                typer.echo(f"{group.kind}\t{group.similarity:.4f}\t{path}")
    say(f"{len(groups)} groups, {sum(len(g.paths) for g in groups)} images")
