"""Another model's vectors, built beside those of the active one, which answers until they are."""

import sys
from collections.abc import Callable
from pathlib import Path

from finesight.annotations.notes import Notes
from finesight.errors import InputError
from finesight.images.archives import containing
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.indexing.commit import notes_of, update_notes
from finesight.indexing.progress import Advance
from finesight.indexing.reports import IndexReport, SwitchReport
from finesight.indexing.run import Run, Wanted
from finesight.indexing.up_to_date import up_to_date
from finesight.indexing.walking import Findings
from finesight.models import Model
from finesight.proposals.registry import carried_over
from finesight.store.folder import CollectionFolder
from finesight.store.manifest import TableEntry
from finesight.store.snapshot import Snapshot
from finesight.store.upkeep import keep_fast
from finesight.types import Found


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
        active = folder.active
        if not active.is_of_another(model.identity):
            raise InputError(f"{folder.directory} already answers with {model.source}")
        entry = _entry_for(folder, model)
        wanted = notes_of(folder.table())
        raw = any(Path(path).suffix.lower() in RAW_SUFFIXES for path in wanted)
        run = Run(folder.table(entry), folder.ledger(), model, entry, raw, sys.maxsize)
        report, missing = _build(run, wanted, progress)
        keep_fast(run.table.newest(), entry.made_of)
        after(Snapshot(run.table.newest(), entry.made_of))
        run.table.tidy()
        switched = without_missing or not missing
        if switched:
            folder.save(folder.need().activated(entry))
    return SwitchReport(report.indexed, tuple(map(Path, missing)), switched)


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


def _entry_for(folder: CollectionFolder, model: Model) -> TableEntry:
    """Return the entry of a model's table, which is made where there is none yet."""
    manifest = folder.need()
    there, active = manifest.beside(model.identity), manifest.active
    regions = carried_over((there or active).regions, model.capabilities)
    vectors = (there or active).vectors or model.vectors
    entry = up_to_date(folder, there, model, regions, vectors)
    folder.save(manifest.with_other(entry))
    return entry


def _build(run: Run, wanted: Wanted, progress: Advance) -> tuple[IndexReport, list[str]]:
    """Bring a table to hold the wanted images; return what was done, and which are missing.

    Images are encoded whose files are new to the table or changed since; a file that cannot be
    read any more is missing.
    """
    report = run.index(_findings(wanted), progress, wanted=wanted)
    there = notes_of(run.table.newest())
    run.table.delete([id_ for path, (id_, _) in there.items() if path not in wanted])
    update_notes(run.table.newest(), Notes({path: note for path, (_, note) in wanted.items()}))
    return report, sorted(path for path in wanted if path not in there)


def _findings(wanted: Wanted) -> Findings:
    """Return the files of the wanted images that are there, and the archives around them."""
    findings = Findings()
    archives: dict[Path, None] = {}
    for name in wanted:
        path = Path(name)
        archive = containing(path)
        if archive is not None:
            archives[archive] = None
        elif (found := _found(path)) is not None:
            findings.images.append(found)
    findings.archives = [found for path in archives if (found := _found(path))]
    return findings


def _found(path: Path) -> Found | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return Found(path, status.st_size, status.st_mtime_ns)
