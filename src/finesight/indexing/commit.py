"""Writes what came of the files: new rows, moved rows and failures, batch by batch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from finesight.annotations.notes import Note, Notes
from finesight.indexing.encode import Failed, Same, Seen
from finesight.indexing.plan import Plan
from finesight.store.ledger import Entry, Ledger
from finesight.store.schema import Record
from finesight.store.table import ImageTable
from finesight.types import Found, Skipped

_COMMIT = 64  # new images a commit: what a kill can cost at most
_SMALL_COMMIT = 4096  # rows a commit of which only the path changes


@dataclass
class _Batch:
    """What is written together: new rows, moved ones by id, ids of broken ones, and failures."""

    new: list[Record] = field(default_factory=list)
    moved: list[tuple[str, Found]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    failures: list[Entry] = field(default_factory=list)

    def is_full(self) -> bool:
        return (
            len(self.new) >= _COMMIT
            or max(len(self.moved), len(self.broken), len(self.failures)) >= _SMALL_COMMIT
        )


class Commits:
    """The writes of one run.

    indexed: how many images got a new row; taken: how many of the run's images were dealt with.
    """

    def __init__(
        self,
        table: ImageTable,
        ledger: Ledger,
        plan: Plan,
        regions_name: str,
        tried: str,
        ids: Mapping[str, str] | None = None,
    ) -> None:
        """Begin a run. regions_name, tried: as rows and ledger have them; ids: wanted, by path."""
        self._table, self._ledger, self._plan = table, ledger, plan
        self._regions_name, self._tried, self._ids = regions_name, tried, ids or {}
        self._contents: set[str] = set()  # of this run, by sha256
        self._batch = _Batch()
        self.indexed = self.taken = 0

    @property
    def done(self) -> int:
        """How many images of the run need nothing more."""
        plan = self._plan
        return plan.unchanged + plan.moved + len(plan.skipped) + self.indexed

    def is_known(self, sha256: str) -> bool:
        """Whether an image of these bytes is in the collection, so that none has to be encoded."""
        return sha256 in self._plan.known.by_content or sha256 in self._contents

    def is_full(self) -> bool:
        """Whether enough waits to be written."""
        return self._batch.is_full()

    def take(self, item: Seen | Same | Failed) -> None:
        """Take what came of one file."""
        self.taken += 1
        if isinstance(item, Failed):
            self.fail(item.source.found, item.reason, item.lasting)
        elif isinstance(item, Seen):
            self._add(self._record(item))
        else:
            self._take_same(item)

    def fail(self, found: Found, reason: str, lasting: bool = True) -> None:
        """Note what was skipped; what its path showed before is not there any more.

        lasting: until the file changes; else it is tried again, and its row stays.
        """
        self._plan.met.add(str(found.path))
        self._plan.skipped.append(Skipped(found.path, reason))
        self._batch.failures.append(Entry(found, self._tried if lasting else "", reason))
        place = self._plan.known.place.get(str(found.path))
        if lasting and place is not None:
            self._batch.broken.append(self._plan.known.ids[place])

    def write(self, ended: Sequence[Entry]) -> None:
        """Write the batch, and the archives that ended with it.

        A kill between two of its steps makes the next run do one of them again.
        """
        batch, self._batch = self._batch, _Batch()
        found = [record.path for record in batch.new] + [moved.path for _, moved in batch.moved]
        self._ledger.drop(found)
        if batch.new:
            self._table.insert(batch.new)
        self._table.update(
            [
                {"id": id_, "path": str(f.path), "size": f.size, "mtime_ns": f.mtime_ns}
                for id_, f in batch.moved
            ]
        )
        self._table.delete(batch.broken)
        self._ledger.write([*batch.failures, *ended])

    def _record(self, seen: Seen) -> Record:
        found, header, note = seen.source.found, seen.header, seen.source.note
        return Record(
            id=self._id(found.path),
            path=found.path,
            sha256=seen.sha256,
            size=found.size,
            mtime_ns=found.mtime_ns,
            width=header.width,
            height=header.height,
            regions_name=self._regions_name,
            vectors=seen.vectors,
            fused=seen.fused,
            pixels=seen.pixels,
            taken=header.taken,
            camera=header.camera,
            caption=note.caption,
            metadata=note.as_json,
        )

    def _id(self, path: Path) -> str:
        return self._plan.id_for(path, self._ids.get(str(path)))

    def _add(self, record: Record) -> None:
        self._batch.new.append(record)
        self._contents.add(record.sha256)
        self.indexed += 1

    def _take_same(self, same: Same) -> None:
        """Take a file of known bytes: touched, moved, or a copy of one that is still there."""
        found, note = same.source.found, same.source.note
        row = self._plan.claim(found, same.sha256)
        if row is not None:
            self._batch.moved.append((row, found))
            return
        self._add(
            replace(
                self._record_of(same.sha256),
                id=self._id(found.path),
                path=found.path,
                size=found.size,
                mtime_ns=found.mtime_ns,
                caption=note.caption,
                metadata=note.as_json,
            )
        )

    def _record_of(self, sha256: str) -> Record:
        """Return a record of these bytes: from before this run, from this batch, or the table."""
        known = self._plan.known
        if alike := known.by_content.get(sha256):
            return known.record(alike[0])
        waiting = (record for record in self._batch.new if record.sha256 == sha256)
        return next(waiting, None) or self._table.newest().find_content(sha256, self._regions_name)


def notes_of(table: ImageTable) -> dict[str, tuple[str, Note]]:
    """Return the id and the note of every image, by path."""
    rows = table.read(["id", "path", "caption", "metadata"]).to_pylist()
    return {
        row["path"]: (row["id"], Note(row["caption"], json.loads(row["metadata"] or "{}")))
        for row in rows
    }


def update_notes(table: ImageTable, notes: Notes) -> None:
    """Give rows what notes say of them, where that is something else, in one commit."""
    table.update(
        [
            {"id": id_, "caption": note.caption, "metadata": note.as_json}
            for path, (id_, stored) in notes_of(table).items()
            if (note := notes.of(Path(path))) not in (Note(), stored)
        ]
    )
