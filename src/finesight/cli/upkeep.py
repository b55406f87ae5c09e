"""`finesight status`, `remove`, `duplicates`, `switch`, `optimize`, `export-vectors`: upkeep."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import CollectionOption, JsonOption, open_collection, option
from finesight.cli.output import progress_bar, say, show
from finesight.errors import InputError


def status(
    collection: CollectionOption = None,
    skipped: Annotated[
        bool, option("List the files that were skipped, and why.", "--skipped")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a collection holds: images, regions, model, size; or what was skipped.

    Example: finesight status --collection ~/pictures.finesight
    """
    store = open_collection(collection)
    if skipped:
        items = [{"path": str(item.path), "reason": item.reason} for item in store.skipped()]
        show(items, (f"{item['path']}\t{item['reason']}" for item in items), as_json)
        return
    facts = store.status()
    shown = {name: f"{v:,}" if isinstance(v, int) else v for name, v in facts.items()}
    show(facts, (f"{name:<12} {value}" for name, value in shown.items()), as_json)


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
    say(f"{open_collection(collection).remove(paths)} removed")


def duplicates(
    collection: CollectionOption = None,
    near: Annotated[
        float, option("The least cosine from which images count as nearly the same.", min=0, max=1)
    ] = 0.98,
    exact: Annotated[
        bool, option("Compare bytes and pixels alone, which is fast.", "--exact")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List groups of images with the same bytes, the same pixels, or nearly the same embedding.

    Each line has the kind, the similarity and a path; an empty line ends a group.

    Example: finesight duplicates --exact --collection ~/pictures.finesight
    """
    store = open_collection(collection)
    with progress_bar("comparing", "images") as advance:
        groups = store.duplicates(None if exact else near, advance)
    found = [asdict(group) | {"paths": [str(path) for path in group.paths]} for group in groups]
    lines = [[f"{g.kind}\t{g.similarity:.4f}\t{path}" for path in g.paths] for g in groups]
    show(found, ["\n\n".join(map("\n".join, lines))] if groups else [], as_json)
    say(f"{len(groups)} groups, {sum(len(g.paths) for g in groups)} images")


def switch(
    model: Annotated[str, typer.Argument(help="A model, as for `index --model`.")],
    collection: CollectionOption = None,
    without_missing: Annotated[
        bool, option("Switch even if files are gone: their images leave.", "--without-missing")
    ] = False,
    forget: Annotated[
        bool, option("Remove the vectors of this model, which must not be active.", "--forget")
    ] = False,
) -> None:
    """Encode all images of a collection with another model, then answer with it.

    Searches go on with the old model meanwhile. Its vectors are kept, so that switching back is
    quick, until they are removed with --forget. An interrupted run continues when started again.

    Example: finesight switch Xenova/clip-vit-large-patch14 --collection ~/pictures.finesight
    """
    store = open_collection(collection)
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


def optimize(
    collection: CollectionOption = None,
    queries: Annotated[
        Path | None,
        option(
            "Texts to measure with, one per line; by default the collection's captions, or "
            "everyday words."
        ),
    ] = None,
    recall: Annotated[
        float, option("The share of the exact ten best to be found.", min=0.5, max=1.0)
    ] = 0.98,
    storage: Annotated[
        str | None, option("Keep regions as float16, or as int8: half the space, and read faster.")
    ] = None,
    distinct: Annotated[
        float | None,
        option("Leave out regions whose cosine with a larger one is at least this, such as 0.98."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Merge small files, update the indexes, tune them for texts, and measure recall.

    Indexing does all of this by itself, but for tuning and measuring.

    Example: finesight optimize --collection ~/pictures.finesight --queries my-queries.txt
    """
    from finesight.store.storage import Storage

    store = open_collection(collection)
    kept = None
    if storage is not None or distinct is not None:
        now = store.storage
        kept = Storage(storage or now.kind, distinct or now.distinct)
    report = store.optimize(_texts(queries), recall, say, kept)
    lines = [
        f"images       {report.images:,}",
        f"vectors      {report.vectors:,}" + ("" if report.chosen else ", scanned in memory"),
    ]
    lines += [
        f"index        {each.asked:,} partitions asked: recall@10 {each.recall:.3f} of the "
        f"vectors, {each.milliseconds:.1f} ms"
        for each in report.settings
    ]
    if report.recall is not None:
        lines.append(
            f"search       recall@10 {report.recall:.3f} of the best by their regions, "
            f"{report.queries} text queries"
        )
    show(asdict(report), lines, as_json)
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


def export_vectors(
    out: Annotated[Path, typer.Argument(help="A file that ends with .parquet or .npz.")],
    collection: CollectionOption = None,
    vectors: Annotated[
        str,
        option(
            "pooled (the few that an image is found by), regions (with boxes), or global; "
            "fused and whole, as they were called, still work."
        ),
    ] = "pooled",
    where: Annotated[
        str | None, option("Only images that meet a condition, as in `search`.")
    ] = None,
    path: Annotated[
        str | None, option("Only images whose path matches a glob, as in `search`.")
    ] = None,
) -> None:
    """Write the vectors of a collection to one file, for other programs.

    Parquet: id, path, x0, y0, x1, y1, vector. NumPy: vectors, image, boxes, ids, paths.

    Example: finesight export-vectors vectors.parquet --collection ~/pictures.finesight
    """
    store = open_collection(collection)
    images, count = store.export_vectors(out, vectors, where=where, path=path)
    say(f"wrote {count:,} vectors of {images:,} images to {out}")
