"""`finesight index`: encode images, and keep their vectors."""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.options import CollectionOption, ModelOption, open_collection, option
from finesight.cli.output import progress_bar, say
from finesight.errors import FinesightError, InputError, need

if TYPE_CHECKING:
    from finesight.collection import Collection
    from finesight.indexing.run import IndexReport

_SHOWN = 20  # skipped files that are named one by one


def index(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Folders, image files, zip and tar archives, patterns in quotes; - reads a list "
            "of paths from the standard input."
        ),
    ],
    collection: CollectionOption = None,
    model: ModelOption = None,
    regions: Annotated[
        str | None,
        option(
            "Which regions to encode: full, cc10, cc10-paper, grid10, cover24r4, detect:SOURCE, …"
        ),
    ] = None,
    effort: Annotated[
        str | None,
        option(
            "Forward passes of the encoder per image: low (at most 8), normal (16, the "
            "default) or high (40)."
        ),
    ] = None,
    smallest: Annotated[
        float | None,
        option("The smallest object that has to be found, in pixels; costs more.", min=1),
    ] = None,
    tolerance: Annotated[
        int | None,
        option(
            "Leave out windows of --smallest or --regions that show nothing new: no part of "
            "them differs by more grey levels than this.",
            min=0,
            max=255,
        ),
    ] = None,
    vectors: Annotated[
        int | None, option("Fused vectors kept per image, by which it is found; 8.", min=1)
    ] = None,
    exclude: Annotated[
        list[str] | None,
        option("Leave out what matches a pattern, written as in .finesightignore."),
    ] = None,
    prune: Annotated[
        bool, option("Remove images from these folders whose files are gone.", "--prune")
    ] = False,
    raw: Annotated[bool, option("Index the previews in cameras' raw files, too.", "--raw")] = False,
    max_pixels: Annotated[
        int | None,
        option("Skip images with more pixels, as decompression bombs; 178956970.", min=1),
    ] = None,
    watch: Annotated[
        bool, option("Keep running, and index what is added or changed, until ^C.", "--watch")
    ] = False,
) -> None:
    """Index images so that they can be searched; a second run takes only what is new or changed.

    Examples:

      finesight index ~/Pictures --collection ~/pictures.finesight --model mini

      find . -name '*.jpg' -newer last-week | finesight index - --collection pics
    """
    from finesight.images.open import MAX_PIXELS

    store = open_collection(collection, model)
    chosen_regions = _regions_of(store, regions, effort, smallest, tolerance)
    listed = paths == [Path("-")]
    chosen = _read_list() if listed else paths

    def run() -> None:
        with progress_bar("indexing", "images") as advance:
            report = store.add(
                chosen,
                chosen_regions,
                advance,
                vectors,
                listed=listed,
                exclude=exclude or (),
                prune=prune,
                raw=raw,
                max_pixels=max_pixels or MAX_PIXELS,
            )
        _tell(report)

    changes = _changes(chosen, store.directory) if watch else iter(())
    run()
    with contextlib.suppress(KeyboardInterrupt):  # which is how watching ends, whatever it is doing
        for _ in changes:
            try:
                run()
            except FinesightError as error:  # such as a folder that is empty for a moment
                say(f"finesight: {error}")


def _regions_of(
    store: "Collection",
    regions: str | None,
    effort: str | None,
    smallest: float | None,
    tolerance: int | None,
) -> str | None:
    """Return the regions that the options name, None for the collection's or the model's own."""
    from finesight.proposals import EFFORTS, sparing
    from finesight.proposals.geometry_proposer import cover_for

    given = [each for each in (regions, effort, smallest) if each is not None]
    if len(given) > 1:
        raise InputError("give one of --regions, --effort and --smallest, not several")
    if effort is not None and effort not in EFFORTS:
        raise InputError(f"unknown effort {effort!r}: use one of {', '.join(EFFORTS)}")
    chosen = regions or effort
    if smallest is not None:
        chosen = cover_for(smallest, store.model.effective_scale)
    if tolerance is None:
        return chosen
    if chosen is None:
        raise InputError("--tolerance says what --smallest or --regions may leave out: give one")
    return sparing(chosen, tolerance)


def _read_list() -> list[Path]:
    """Return the paths on the standard input: one a line, or ended by zero bytes (find -print0)."""
    data = sys.stdin.buffer.read()
    parts = data.split(b"\0" if b"\0" in data else b"\n")
    return [Path(os.fsdecode(part.rstrip(b"\r"))) for part in parts if part.strip()]


def _changes(paths: list[Path], collection: Path) -> Iterator[object]:
    """Return an iterator that gives something whenever files below the paths have changed.

    Raises MissingDependencyError at once where the package that watches is missing.
    """
    watchfiles = need("watchfiles", "watching needs one more package", "watch")
    inside = f"{collection.resolve()}{os.sep}"

    def wanted(kind: object, path: str) -> bool:
        return not path.startswith(inside)

    def changes() -> Iterator[object]:
        say("watching for changes; stop with ^C")
        yield from watchfiles.watch(
            *paths, watch_filter=wanted, raise_interrupt=False, ignore_permission_denied=True
        )

    return changes()


def _tell(report: "IndexReport") -> None:
    """Say what a run did: new failures one by one, the sums in one line."""
    fresh = [item for item in report.skipped if not item.remembered]
    for item in fresh[:_SHOWN]:
        say(f"skipped {item.path}: {item.reason}")
    if len(fresh) > _SHOWN:
        say(f"... and {len(fresh) - _SHOWN} more: finesight status --skipped lists them")
    parts = [f"{report.indexed} indexed", f"{report.unchanged} unchanged"]
    if report.moved:
        parts.append(f"{report.moved} moved")
    if report.removed:
        parts.append(f"{report.removed} removed")
    elif report.gone:
        parts.append(f"{report.gone} gone (--prune removes them)")
    reasons = Counter(item.reason.split(":")[0] for item in report.skipped).most_common()
    why = ": " + ", ".join(f"{reason} ({count})" for reason, count in reasons) if reasons else ""
    say(", ".join([*parts, f"{len(report.skipped)} skipped"]) + why)
