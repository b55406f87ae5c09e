"""One run of indexing: what is new or changed is looked at, and written batch by batch."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from finesight.annotations.notes import Note, Notes, note_of_sidecars
from finesight.errors import DataError
from finesight.images.archives import ArchiveError, Member, members
from finesight.images.open import MAX_PIXELS, SUFFIXES, decoders
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.images.tiles import reads_tiles
from finesight.indexing.encode import (
    Failed,
    Same,
    Seen,
    Source,
    encode_files,
    image_id,
)
from finesight.indexing.reports import IndexReport
from finesight.indexing.walking import Findings
from finesight.models import Model
from finesight.store.known import Known, is_gone
from finesight.store.ledger import Entry, Ledger
from finesight.store.schema import Record
from finesight.store.table import ImageTable
from finesight.types import Found, Skipped

_COMMIT = 64  # images a commit: what a kill can cost at most
_SMALL_COMMIT = 4096  # rows a commit of which only the path changes
_SIDECARS = {".txt", ".text", ".caption", ".json"}  # of a webdataset
_SIDECAR_BYTES = 2**20


@dataclass(frozen=True)
class Way:
    """How a run looks: with which model, at which regions, for how many fused vectors."""

    model: Model
    looked: str
    vectors: int
    max_pixels: int = MAX_PIXELS
    raw: bool = False

    @cached_property
    def tried(self) -> str:
        """What a file that failed was tried with: with anything else, it is tried again."""
        readers = "+".join(filter(None, (decoders(), reads_tiles(), "raw" if self.raw else "")))
        return f"{self.max_pixels} {readers}"

    @property
    def opened(self) -> str:
        """What an archive was opened for: for anything else, it is opened again."""
        return f"{self.model.fingerprint} {self.looked} {self.tried}"


class Adding:
    """One run: adds what was found to a table."""

    def __init__(
        self,
        table: ImageTable,
        ledger: Ledger,
        way: Way,
        progress: Callable[[int, int], None] = lambda done, total: None,
        rows: Mapping[str, tuple[str, Note]] | None = None,
    ) -> None:
        """Begin a run. rows: ids and notes by path, where these images alone are to be added."""
        self._table, self._ledger, self._way, self._progress = table, ledger, way, progress
        self._rows = rows
        self._known = Known(table, way.looked)
        self._ids = set(self._known.ids)
        self._notes = Notes({path: note for path, (_, note) in (rows or {}).items()})
        self._met: set[str] = set()  # paths that are there, below the given folders
        self._unsure: list[Path] = []  # folders and archives that could not be read to the end
        self._claimed: set[int] = set()  # rows that moved
        self._seen: set[str] = set()  # contents of this run, by sha256
        self._skipped: list[Skipped] = []
        self._indexed = self._moves = self._unchanged = self._total = 0
        self._given = self._taken = 0  # sources, into the pipeline and out of it
        self._batch = _Batch()
        self._finished: list[tuple[int, Entry]] = []  # archives, once all before them is written

    def run(self, findings: Findings, prune: bool = False) -> IndexReport:
        """Look at what is new or changed; prune: remove what is not there any more."""
        way = self._way
        new = [found for found in findings.images if self._is_new(found)]
        archives = [found for found in findings.archives if self._is_new_archive(found)]
        changed = self._read_notes(findings.annotations, bool(new or archives))
        self._total = self._done() + len(new)
        self._tell()
        for item in encode_files(
            self._sources(new, archives),
            way.model,
            way.looked,
            way.vectors,
            self._is_known,
            way.max_pixels,
        ):
            self._take(item)
            if self._batch.is_full():
                self._commit()
            self._tell()
        for skipped in findings.skipped:
            self._fail(Found(skipped.path, 0, 0), skipped.reason, lasting=False)
            self._unsure.append(skipped.path)
        self._commit()
        self._describe_anew(changed)
        gone = self._gone(findings.roots)
        if prune:
            self._table.delete([self._known.ids[place] for place in gone])
        return IndexReport(
            self._indexed,
            self._unchanged,
            tuple(self._skipped),
            self._moves,
            len(gone),
            len(gone) if prune else 0,
        )

    def _is_new(self, found: Found) -> bool:
        self._met.add(str(found.path))
        if self._known.unchanged(found):
            self._unchanged += 1
            return False
        return not self._was_skipped(found)

    def _was_skipped(self, found: Found) -> bool:
        entry = self._ledger.of(found, self._way.tried)
        if entry is not None and entry.reason is not None:
            self._skipped.append(Skipped(found.path, entry.reason, remembered=True))
            return True
        return False

    def _is_new_archive(self, found: Found) -> bool:
        """Whether an archive has to be opened; one that was read to the end costs a stat."""
        self._met.add(str(found.path))
        entry = self._ledger.of(found, self._way.opened)
        if entry is None:
            return True
        if entry.reason is not None:
            self._skipped.append(Skipped(found.path, entry.reason, remembered=True))
            self._unsure.append(found.path)
        inside = self._known.by_archive.get(str(found.path), [])
        self._unchanged += len(inside)
        self._met.update(self._known.paths[place] for place in inside)
        for entry in self._ledger.below([found.path]):
            if entry.found.path != found.path and entry.reason is not None:
                self._met.add(str(entry.found.path))
                self._skipped.append(Skipped(entry.found.path, entry.reason, remembered=True))
        return False

    def _read_notes(self, annotations: list[Found], needed: bool) -> list[Found]:
        """Read all annotations if there are new images or one of them changed; return these."""
        self._met.update(str(found.path) for found in annotations)
        fresh = [f for f in annotations if self._ledger.of(f, self._way.tried) is None]
        changed = []
        for found in annotations if needed or fresh else []:
            try:
                self._notes.read(found.path)
                if found in fresh:
                    changed.append(found)
            except DataError as error:
                self._fail(found, str(error))
        if not (needed or fresh):
            for found in annotations:
                self._was_skipped(found)
        return changed

    def _sources(self, new: list[Found], archives: list[Found]) -> Iterator[Source]:
        for found in new:
            yield self._give(Source(found, note=self._notes.of(found.path)))
        for archive in archives:
            try:
                for source in self._members(archive):
                    self._total += 1
                    yield self._give(source)
                entry = Entry(archive, self._way.opened)
            except ArchiveError as error:
                entry = Entry(archive, self._way.opened, str(error))
                self._skipped.append(Skipped(archive.path, str(error)))
                self._unsure.append(archive.path)
            self._finished.append((self._given, entry))

    def _give(self, source: Source) -> Source:
        self._given += 1
        return source

    def _members(self, archive: Found) -> Iterator[Source]:
        """Yield the new images of an archive, each with the words in the files beside it."""
        suffixes = SUFFIXES | RAW_SUFFIXES if self._way.raw else SUFFIXES
        for _, group in itertools.groupby(members(archive.path), _without_ending):
            sidecars: dict[str, bytes] = {}
            images: list[Source] = []
            for member in group:
                suffix = member.path.suffix.lower()
                found = Found(member.path, member.size, archive.mtime_ns)
                try:
                    if suffix in suffixes and self._is_wanted(found) and self._is_new(found):
                        images.append(Source(found, member.read()))
                    elif suffix in _SIDECARS and member.size <= _SIDECAR_BYTES:
                        sidecars[suffix[1:]] = member.read()
                except ArchiveError as error:
                    self._fail(found, str(error))
            note = note_of_sidecars(sidecars) if images else Note()
            for source in images:
                known = self._notes.of(source.found.path)
                yield dataclasses.replace(source, note=note.joined(known))

    def _is_wanted(self, found: Found) -> bool:
        return self._rows is None or str(found.path) in self._rows

    def _is_known(self, digest: str) -> bool:
        return digest in self._known.by_content or digest in self._seen

    def _take(self, item: Seen | Same | Failed) -> None:
        self._taken += 1
        if isinstance(item, Failed):
            self._fail(item.source.found, item.reason, item.lasting)
        elif isinstance(item, Same):
            self._take_same(item)
        else:
            self._add(self._record(item))

    def _record(self, item: Seen) -> Record:
        found, header, note = item.source.found, item.header, item.source.note
        return Record(
            id=self._id(found.path),
            path=found.path,
            sha256=item.sha256,
            size=found.size,
            mtime_ns=found.mtime_ns,
            width=header.width,
            height=header.height,
            looked=self._way.looked,
            vectors=item.vectors,
            fused=item.fused,
            pixels=item.pixels,
            taken=header.taken,
            camera=header.camera,
            caption=note.caption,
            metadata=note.as_json,
        )

    def _add(self, record: Record) -> None:
        self._batch.new.append(record)
        self._seen.add(record.sha256)
        self._indexed += 1

    def _take_same(self, item: Same) -> None:
        """Take a file of known bytes: touched, moved, or a copy of one that is still there."""
        found = item.source.found
        alike = self._known.by_content.get(item.sha256, [])
        own = self._known.place.get(str(found.path))
        if own in alike:
            self._batch.moved.append((self._known.ids[own], found))
            self._unchanged += 1
            return
        moved = next((place for place in alike if own is None and self._has_left(place)), None)
        if moved is not None:
            self._claimed.add(moved)
            self._batch.moved.append((self._known.ids[moved], found))
            self._moves += 1
            return
        note = item.source.note
        self._add(
            dataclasses.replace(
                self._looked_at(item.sha256, alike),
                id=self._id(found.path),
                path=found.path,
                size=found.size,
                mtime_ns=found.mtime_ns,
                caption=note.caption,
                metadata=note.as_json,
            )
        )

    def _has_left(self, place: int) -> bool:
        path = self._known.paths[place]
        return place not in self._claimed and path not in self._met and is_gone(Path(path))

    def _looked_at(self, digest: str, alike: list[int]) -> Record:
        """Return a record of these bytes: from before this run, from this batch, or the table."""
        if alike:
            return self._known.record(alike[0])
        for record in self._batch.new:
            if record.sha256 == digest:
                return record
        return self._table.newest().find_content(digest, self._way.looked)

    def _id(self, path: Path) -> str:
        """Return the id of a path: its row's, or a new one; ids of moved rows went with them."""
        place = self._known.place.get(str(path))
        if place is not None and place not in self._claimed:
            return self._known.ids[place]
        id_ = self._rows[str(path)][0] if self._rows else image_id(path)
        while id_ in self._ids:
            id_ = image_id(Path(id_))
        self._ids.add(id_)
        return id_

    def _fail(self, found: Found, reason: str, lasting: bool = True) -> None:
        """Note what was skipped; what its path showed before is not there any more."""
        self._met.add(str(found.path))
        self._skipped.append(Skipped(found.path, reason))
        self._batch.entries.append(Entry(found, self._way.tried if lasting else "", reason))
        place = self._known.place.get(str(found.path))
        if lasting and place is not None:
            self._batch.broken.append(self._known.ids[place])

    def _commit(self) -> None:
        """Write the batch. A kill between two of its steps makes the next run do one again."""
        batch, self._batch = self._batch, _Batch()
        found = [record.path for record in batch.new] + [moved.path for _, moved in batch.moved]
        self._ledger.drop(found)
        if batch.new:
            self._table.insert(batch.new)
        if batch.moved:
            self._table.update(_places(batch.moved))
        self._table.delete(batch.broken)
        done = [entry for given, entry in self._finished if given <= self._taken]
        self._finished = [item for item in self._finished if item[0] > self._taken]
        self._ledger.write([*batch.entries, *done])

    def _describe_anew(self, changed: list[Found]) -> None:
        """Give the images that were there what changed annotations say of them."""
        if changed:
            describe_anew(self._table.newest(), self._notes)
            self._ledger.write([Entry(found, self._way.tried) for found in changed])

    def _gone(self, roots: list[Path]) -> list[int]:
        """Return the rows below the given folders that this run did not meet; forget failures."""
        left = [
            entry.found.path
            for entry in self._ledger.below(roots)
            if str(entry.found.path) not in self._met
        ]
        self._ledger.drop(path for path in left if not self._is_unsure(path))
        return [
            place
            for place in self._known.below(roots)
            if self._known.paths[place] not in self._met
            and place not in self._claimed
            and not self._is_unsure(Path(self._known.paths[place]))
        ]

    def _is_unsure(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self._unsure)

    def _done(self) -> int:
        return self._unchanged + self._indexed + self._moves + len(self._skipped)

    def _tell(self) -> None:
        self._progress(self._done(), max(self._total, self._done()))


@dataclass
class _Batch:
    """What is written together: new rows, moved ones by id, ids of broken ones, and failures."""

    new: list[Record] = field(default_factory=list)
    moved: list[tuple[str, Found]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def is_full(self) -> bool:
        return (
            len(self.new) >= _COMMIT
            or max(len(self.moved), len(self.broken), len(self.entries)) >= _SMALL_COMMIT
        )


def _without_ending(member: Member) -> Path:
    return member.path.with_suffix("")


def _places(moved: list[tuple[str, Found]]) -> pa.Table:
    return pa.table(
        {
            "id": [id_ for id_, _ in moved],
            "path": [str(found.path) for _, found in moved],
            "size": [found.size for _, found in moved],
            "mtime_ns": [found.mtime_ns for _, found in moved],
        }
    )


def describe_anew(table: ImageTable, notes: Notes) -> None:
    """Give the rows of which notes say something else what they say, in one commit."""
    changed = []
    rows = table.read(["id", "path", "caption", "metadata"]).to_pylist()
    for row in rows:
        note = notes.of(Path(row["path"]))
        stored = Note(row["caption"], json.loads(row["metadata"] or "{}"))
        if note not in (Note(), stored):
            changed.append((row["id"], note))
    table.update(
        pa.table(
            {
                "id": pa.array([id_ for id_, _ in changed], pa.string()),
                "caption": pa.array([note.caption for _, note in changed], pa.string()),
                "metadata": pa.array([note.as_json for _, note in changed], pa.json_()),
            }
        ),
    )
