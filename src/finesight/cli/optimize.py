"""`finesight optimize`: make searches fast, and measure what that costs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import CollectionOption, JsonOption, collection_folder
from finesight.cli.output import say
from finesight.errors import InputError


def optimize(
    collection: CollectionOption = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Texts to measure with, one per line; by default the collection's captions, or "
            "everyday words."
        ),
    ] = None,
    recall: Annotated[
        float,
        typer.Option(min=0.5, max=1.0, help="The share of the exact ten best to be found."),
    ] = 0.98,
    storage: Annotated[
        str | None,
        typer.Option(help="Keep regions as float16, or as int8: half the space, and read faster."),
    ] = None,
    distinct: Annotated[
        float | None,
        typer.Option(
            help="Leave out regions whose cosine with a larger one is at least this, such as 0.98."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Merge small files, update the indexes, tune them for texts, and measure recall.

    Indexing does all of this by itself, but for tuning and measuring.

    Example: finesight optimize --collection ~/pictures.finesight --queries my-queries.txt
    """
    from finesight.collection import Collection
    from finesight.store.storage import Storage

    store = Collection.open(collection_folder(collection))
    kept = None
    if storage is not None or distinct is not None:
        now = store.storage
        kept = Storage(storage or now.kind, distinct or now.distinct)
    report = store.optimize(_texts(queries), recall, say, kept)
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    typer.echo(f"images       {report.images:,}")
    typer.echo(
        f"vectors      {report.vectors:,}" + ("" if report.chosen else ", scanned in memory")
    )
    for each in report.settings:
        typer.echo(
            f"index        {each.asked:,} partitions asked: recall@10 {each.recall:.3f} of the "
            f"vectors, {each.milliseconds:.1f} ms"
        )
    if report.recall is not None:
        typer.echo(
            f"search       recall@10 {report.recall:.3f} of the best by their regions, "
            f"{report.queries} text queries"
        )
    if report.chosen is not None and report.chosen.recall < recall:
        say(f"all partitions are asked, and find {report.chosen.recall:.3f} of {recall}")


def _texts(file: Path | None) -> list[str] | None:
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise InputError(f"{file} is empty: write one text per line, as people would type it")
    return texts
