"""`finesight switch`: answer with another model."""

import sys
from typing import Annotated

import typer

from finesight.cli.options import CollectionOption, collection_folder
from finesight.cli.output import progress_bar, say


def switch(
    model: Annotated[str, typer.Argument(help="A model, as for `index --model`.")],
    collection: CollectionOption = None,
    without_missing: Annotated[
        bool,
        typer.Option(
            "--without-missing", help="Switch even if files are gone: their images leave."
        ),
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="Remove the vectors of this model, which must not be active."
        ),
    ] = False,
) -> None:
    """Encode all images of a collection with another model, then answer with it.

    Searches go on with the old model meanwhile. Its vectors are kept, so that switching back is
    quick, until they are removed with --forget. An interrupted run continues when started again.

    Example: finesight switch Xenova/clip-vit-large-patch14 --collection ~/pictures.finesight
    """
    from finesight.collection import Collection

    store = Collection.open(collection_folder(collection))
    if forget:
        store.forget(model)
        say(f"the vectors of {model} are removed")
        return
    with progress_bar("encoding", "images") as advance:
        report = store.switch(model, advance, without_missing)
    if not report.switched:
        for path in report.missing[:20]:
            say(f"missing {path}")
        say(
            f"finesight: not switched: {len(report.missing)} images cannot be read any more. Bring "
            "their files back, or leave them behind with --without-missing"
        )
        sys.exit(1)
    say(f"{report.indexed} encoded; {model} answers now")
