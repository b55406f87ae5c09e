"""`finesight export-vectors`: the vectors as one file."""

from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import CollectionOption, collection_folder
from finesight.cli.output import say


def export_vectors(
    out: Annotated[Path, typer.Argument(help="A file that ends with .parquet or .npz.")],
    collection: CollectionOption = None,
    vectors: Annotated[
        str,
        typer.Option(
            help="pooled (the few that an image is found by), regions (with boxes), or global; "
            "fused and whole, as they were called, still work."
        ),
    ] = "pooled",
    where: Annotated[
        str | None, typer.Option(help="Only images that meet a condition, as in `search`.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Only images whose path matches a glob, as in `search`.")
    ] = None,
) -> None:
    """Write the vectors of a collection to one file, for other programs.

    Parquet: id, path, x0, y0, x1, y1, vector. NumPy: vectors, image, boxes, ids, paths.

    Example: finesight export-vectors vectors.parquet --collection ~/pictures.finesight
    """
    from finesight.collection import Collection

    store = Collection.open(collection_folder(collection))
    images, count = store.export_vectors(out, vectors, where=where, path=path)
    say(f"wrote {count:,} vectors of {images:,} images to {out}")
