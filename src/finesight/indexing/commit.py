"""Writes what came of the files: new rows, moved rows and failures, batch by batch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finesight.annotations.notes import Note, Notes
from finesight.indexing.encode import Failed, Same, Seen
from finesight.indexing.plan import Plan
from finesight.store.ledger import Entry
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


@dataclass
class Commits:
    """The writes of one run, as it was planned. ids: those that new images are to get, by path.

    indexed: how many images got a new row; taken: how many of the run's images were dealt with.
    """

    plan: Plan
    ids: Mapping[str, str] = field(default_factory=dict)
    indexed: int = 0
    taken: int = 0
    _contents: set[str] = field(default_factory=set)  # of this run, by sha256
    _batch: _Batch = field(default_factory=_Batch)

    @property
    def done(self) -> int:
        """How many images of the run need nothing more."""
        plan = self.plan
        return plan.unchanged + plan.moved + len(plan.skipped) + self.indexed

    def is_known(self, sha256: str) -> bool:
        """Whether an image of these bytes is in the collection, so that none has to be encoded."""
        return sha256 in self.plan.known.by_content or sha256 in self._contents

    def is_full(self) -> bool:
        """Whether enough waits to be written."""
        batch = self._batch
        most = max(len(batch.moved), len(batch.broken), len(batch.failures))
        return len(batch.new) >= _COMMIT or most >= _SMALL_COMMIT

    def take(self, item: Seen | Same | Failed) -> None:
        """Take what came of one file."""
        self.taken += 1
        source = item.source
        if isinstance(item, Failed):
            self.fail(source.found, item.reason, item.lasting)
        elif isinstance(item, Same) and (row := self.plan.claim(source.found, item.sha256)):
            self._batch.moved.append((row, source.found))
        else:
            self._add(item)

    def fail(self, found: Found, reason: str, lasting: bool = True) -> None:
        """Note what was skipped; what its path showed before is not there any more.

        lasting: until the file changes; else it is tried again, and its row stays.
        """
        plan = self.plan
        plan.met.add(str(found.path))
        plan.skipped.append(Skipped(found.path, reason))
        self._batch.failures.append(Entry(found, plan.tried if lasting else "", reason))
        place = plan.known.place.get(str(found.path))
        if lasting and place is not None:
            self._batch.broken.append(plan.known.ids[place])

    def write(self, ended: Sequence[Entry]) -> None:
        """Write the batch, and the archives that ended with it.

        A kill between two of its steps makes the next run do one of them again.
        """
        table, ledger = self.plan.known.table, self.plan.ledger
        batch, self._batch = self._batch, _Batch()
        ledger.drop([record.path for record in batch.new] + [f.path for _, f in batch.moved])
        if batch.new:
            table.insert(batch.new)
        table.update([{**vars(f), "id": id_, "path": str(f.path)} for id_, f in batch.moved])
        table.delete(batch.broken)
        ledger.write([*batch.failures, *ended])

    def _add(self, item: Seen | Same) -> None:
        """Add the row of an image that was encoded, or of a copy of one."""
        found, note = item.source.found, item.source.note
        own: dict[str, Any] = {
            **vars(found),
            "id": self.plan.id_for(found.path, self.ids.get(str(found.path))),
            "caption": note.caption,
            "metadata": note.as_json,
        }
        if isinstance(item, Same):
            record = replace(self._record_of(item.sha256), **own)
        else:
            record = Record(
                **own,
                sha256=item.sha256,
                width=item.header.width,
                height=item.header.height,
                regions_name=self.plan.known.regions_name,
                vectors=item.vectors,
                fused=item.fused,
                pixels=item.pixels,
                taken=item.header.taken,
                camera=item.header.camera,
            )
        self._batch.new.append(record)
        self._contents.add(record.sha256)
        self.indexed += 1

    def _record_of(self, sha256: str) -> Record:
        """Return a record of these bytes: from before this run, from this batch, or the table."""
        known = self.plan.known
        if alike := known.by_content.get(sha256):
            return known.record(alike[0])
        waiting = (record for record in self._batch.new if record.sha256 == sha256)
        newest = known.table.newest()
        return next(waiting, None) or newest.find_content(sha256, known.regions_name)


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
