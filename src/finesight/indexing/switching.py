"""Another model's vectors, built beside those of the active one, which answers until they are."""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from finesight.annotations.notes import Notes
from finesight.errors import InputError
from finesight.images.archives import containing
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.indexing.commit import notes_of, update_notes
from finesight.indexing.progress import Advance
from finesight.indexing.run import Run, Wanted
from finesight.indexing.up_to_date import up_to_date
from finesight.indexing.walking import Findings
from finesight.models import Model
from finesight.proposals.registry import carried_over
from finesight.store.folder import CollectionFolder
from finesight.store.snapshot import Snapshot
from finesight.store.upkeep import keep_fast
from finesight.types import Found


@dataclass(frozen=True)
class SwitchReport:
    """What a switch did: how many images were encoded, whose files are missing, and if it is done.

    Nothing is switched where files are missing, unless that was asked for.
    """

    indexed: int
    missing: tuple[Path, ...]
    switched: bool


def switch(
    folder: CollectionFolder,
    model: Model,
    progress: Advance,
    without_missing: bool,
    after: Callable[[Snapshot], None],
) -> SwitchReport:
    """Index a collection's images with another model, then have it answer.

    without_missing: also where files are gone, which then leave the collection; otherwise nothing
    is switched, and the report names them. after: is given the new images before the switch.
    Raises InputError where the model answers already.
    """
    with folder.writing():
        if not folder.active.is_of_another(model.identity):
            raise InputError(f"{folder.directory} already answers with {model.source}")
        manifest = folder.need()
        old = manifest.beside(model.identity)
        like = old or manifest.active
        regions = carried_over(like.regions, model.capabilities)
        entry = up_to_date(folder, old, model, regions, like.vectors or model.vectors)
        folder.save(manifest.with_other(entry))
        wanted = notes_of(folder.table())
        raw = any(Path(path).suffix.lower() in RAW_SUFFIXES for path in wanted)
        run = Run(folder.table(entry), folder.ledger(), model, entry, raw, sys.maxsize)
        # Encoded are images whose files are new to the table or changed since.
        report = run.index(_findings(wanted), progress, wanted=wanted)
        there = notes_of(run.table.newest())
        missing = tuple(Path(path) for path in sorted(wanted) if path not in there)
        run.table.delete([id_ for path, (id_, _) in there.items() if path not in wanted])
        update_notes(run.table.newest(), Notes({path: note for path, (_, note) in wanted.items()}))
        after(keep_fast(run.table.newest(), entry.made_of))
        run.table.tidy()
        switched = without_missing or not missing
        if switched:
            folder.save(folder.need().activated(entry))
    return SwitchReport(report.indexed, missing, switched)


def forget(folder: CollectionFolder, source: str) -> None:
    """Remove the vectors of a model that is not the active one, by its source."""
    with folder.writing():
        others = folder.need().others
        found = [entry for entry in others if entry.source == source]
        if not found:
            names = ", ".join(entry.source for entry in others)
            raise InputError(
                f"{folder.directory} keeps no vectors of {source} beside the active model's"
                + (f", but of {names}" if names else "")
            )
        folder.drop(found)


def _findings(wanted: Wanted) -> Findings:
    """Return the files of the wanted images that are there, and the archives around them."""
    around = ((path, containing(path)) for path in map(Path, wanted))
    found = Findings()
    for path, in_archive in dict.fromkeys((outer or path, bool(outer)) for path, outer in around):
        with contextlib.suppress(OSError):
            status = path.stat()
            kind = found.archives if in_archive else found.images
            kind.append(Found(path, status.st_size, status.st_mtime_ns))
    return found
