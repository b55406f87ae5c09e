"""One run of indexing: plan what is new or changed, encode it, commit it batch by batch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from finesight.annotations.notes import Note, Notes
from finesight.errors import DataError
from finesight.images.open import SUFFIXES, reads_heif
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.images.tiles import reads_tiles
from finesight.indexing.commit import Commits, update_notes
from finesight.indexing.encode import encode_sources
from finesight.indexing.options import IndexOptions
from finesight.indexing.plan import Known, Plan
from finesight.indexing.progress import Advance, shown_progress
from finesight.indexing.sources import Sources
from finesight.indexing.up_to_date import update_active
from finesight.indexing.walking import Findings, find_images
from finesight.models import Model
from finesight.store.folder import CollectionFolder
from finesight.store.ledger import Entry, Ledger
from finesight.store.manifest import TableEntry
from finesight.store.snapshot import Snapshot
from finesight.store.table import ImageTable
from finesight.store.upkeep import keep_fast
from finesight.types import Found, Skipped

Wanted = Mapping[str, tuple[str, Note]]
"""By path: the id of an image that is to be indexed, and what is known of it."""


@dataclass(frozen=True)
class IndexReport:
    """What one run of indexing did.

    indexed: new and changed images; moved: images of which only the path changed; gone: images
    below the given folders whose files are not there any more; removed: how many of these left
    the collection.
    """

    indexed: int
    unchanged: int
    skipped: tuple[Skipped, ...]
    moved: int = 0
    gone: int = 0
    removed: int = 0


def index_images(
    folder: CollectionFolder,
    model: Model,
    paths: Iterable[Path | str],
    options: IndexOptions,
    progress: Advance,
    after: Callable[[Snapshot], None],
) -> IndexReport:
    """Index what is new or changed of some paths, in a new collection if there is none.

    after: is given what there is then, where images or what they were made with changed, while
    the lock is held.
    Raises InputError for bad options, where there is nothing to index, or where the folder cannot
    be written.
    """
    old = None if folder.manifest is None else folder.manifest.active
    regions, vectors = options.resolved(model, old)
    found = find_images(paths, listed=options.listed, exclude=options.exclude, raw=options.raw)
    with folder.writing():
        entry = update_active(folder, model, regions, vectors)
        run = Run(folder.table(), folder.ledger(), model, entry, options.raw, options.max_pixels)
        with shown_progress(folder.directory, progress) as shown:
            report = run.index(found, shown, prune=options.prune)
        if entry != old or report.indexed or report.moved or report.removed:
            after(keep_fast(folder.table(), entry.made_of))
            folder.table().tidy()
    return report


@dataclass(frozen=True)
class Run:
    """What images are indexed into, with which model, and how files are read."""

    table: ImageTable
    ledger: Ledger
    model: Model
    entry: TableEntry
    raw: bool
    max_pixels: int

    @cached_property
    def tried(self) -> str:
        """What a file that failed was tried with: with anything else, it is tried again."""
        readers = {"heif": reads_heif(), "vips": reads_tiles(), "raw": self.raw}
        return f"{self.max_pixels} {'+'.join(name for name, there in readers.items() if there)}"

    def index(
        self,
        findings: Findings,
        progress: Advance,
        *,
        wanted: Wanted | None = None,
        prune: bool = False,
    ) -> IndexReport:
        """Index what is new or changed of the findings.

        wanted: the images that alone are to be indexed, of archives too; prune: remove images
        whose files are gone.
        """
        ids = {path: id_ for path, (id_, _) in (wanted or {}).items()}
        notes = Notes({path: note for path, (_, note) in (wanted or {}).items()})
        known = Known(self.table, self.entry.regions_name)
        opened = f"{self.entry.key} {self.entry.regions_name} {self.tried}"
        plan = Plan(known, self.ledger, self.tried, opened)
        commits = Commits(plan, ids)
        new = [found for found in findings.images if plan.is_new(found)]
        archives = [found for found in findings.archives if plan.is_new_archive(found)]
        annotated = _read_notes(findings, notes, plan, commits, bool(new or archives))
        is_wanted = (lambda path: str(path) in ids) if wanted is not None else (lambda path: True)
        suffixes = SUFFIXES | RAW_SUFFIXES if self.raw else SUFFIXES
        sources = Sources(plan, notes, new, archives, suffixes, is_wanted, commits.fail)
        self._encode(sources, commits, progress)
        for skipped in findings.skipped:
            commits.fail(Found(skipped.path, 0, 0), skipped.reason, lasting=False)
            plan.unsure.append(skipped.path)
        commits.write(sources.ended(commits.taken))
        if annotated:
            update_notes(self.table.newest(), notes)
            self.ledger.write([Entry(found, self.tried) for found in annotated])
        self.ledger.drop(plan.failures_gone(findings.roots))
        gone = plan.gone(findings.roots)
        if prune:
            self.table.delete(gone)
        return IndexReport(
            indexed=commits.indexed,
            unchanged=plan.unchanged,
            skipped=tuple(plan.skipped),
            moved=plan.moved,
            gone=len(gone),
            removed=len(gone) if prune else 0,
        )

    def _encode(self, sources: Sources, commits: Commits, progress: Advance) -> None:
        """Encode what is new, and commit it batch by batch; the last batch is left."""
        before = commits.done + len(sources.images)
        outcomes = encode_sources(
            sources.read(),
            self.model,
            self.entry.regions,
            self.entry.vectors or self.model.vectors,
            commits.is_known,
            self.max_pixels,
        )
        progress(commits.done, max(before, commits.done))
        for outcome in outcomes:
            commits.take(outcome)
            if commits.is_full():
                commits.write(sources.ended(commits.taken))
            progress(commits.done, max(before + sources.in_archives, commits.done))


def _read_notes(
    findings: Findings, notes: Notes, plan: Plan, commits: Commits, needed: bool
) -> list[Found]:
    """Read all annotations if images need them or one of them is new; return the new ones."""
    plan.met.update(str(found.path) for found in findings.annotations)
    new = [found for found in findings.annotations if plan.ledger.of(found, plan.tried) is None]
    if not (needed or new):
        for found in findings.annotations:
            plan.was_skipped(found)
        return []
    read = []
    for found in findings.annotations:
        try:
            notes.read(found.path)
            read.append(found)
        except DataError as error:
            commits.fail(found, str(error))
    return [found for found in read if found in new]
