"""`finesight remove`: take images out of a collection."""

from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import CollectionOption, collection_folder
from finesight.cli.output import say


def remove(
    paths: Annotated[
        list[Path], typer.Argument(help="Files, folders, archives, or patterns in quotes.")
    ],
    collection: CollectionOption = None,
) -> None:
    """Take images out of a collection; their files stay where they are.

    They come back when their folder is indexed again, unless .finesightignore names them.

    Example: finesight remove ~/Pictures/2011 '*/screenshots/*'
    """
    from finesight.collection import Collection

    count = Collection.open(collection_folder(collection)).remove(paths)
    say(f"{count} removed")
