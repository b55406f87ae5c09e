"""Files that have no row of their own: what was skipped, and archives that were read to the end.

A Lance table beside that of the images, so that a file is tried again only when it has changed,
or when finesight would read it otherwise.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lance
import pyarrow as pa

from finesight.store.conditions import one_of
from finesight.types import Found, Skipped

TABLE = "ledger.lance"

_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("tried", pa.string()),
        ("reason", pa.string()),
    ]
)
_AT_ONCE = 500  # paths a filter names


@dataclass(frozen=True)
class Entry:
    """One file. tried: in which way it was read, "" to try again; reason: why it was skipped."""

    found: Found
    tried: str
    reason: str | None = None


class Ledger:
    """The entries as they were when the ledger was opened, with what was written since."""

    def __init__(self, directory: Path) -> None:
        self._path = str(directory / TABLE)
        self._entries: dict[str, Entry] = {}
        if (table := self._table()) is not None:
            for row in table.to_table().to_pylist():
                found = Found(Path(row["path"]), row["size"], row["mtime_ns"])
                self._entries[row["path"]] = Entry(found, row["tried"], row["reason"])

    def _table(self) -> lance.LanceDataset | None:
        """Return the table; there is none before the first entry, nor after a kill at that."""
        try:
            return lance.dataset(self._path)
        except ValueError:
            return None

    def of(self, found: Found, tried: str) -> Entry | None:
        """Return the entry of a file that has not changed and would be read in the same way."""
        entry = self._entries.get(_name(found.path))
        return entry if entry and entry.found == found and entry.tried == tried else None

    def skipped(self) -> list[Skipped]:
        """Return what was skipped, by path."""
        return [
            Skipped(entry.found.path, entry.reason, remembered=True)
            for _, entry in sorted(self._entries.items())
            if entry.reason is not None
        ]

    def opened(self) -> list[Path]:
        """Return the archives and annotations that were read to the end."""
        return [entry.found.path for entry in self._entries.values() if entry.reason is None]

    def below(self, roots: Sequence[Path]) -> list[Entry]:
        """Return the entries of these files and of those below these folders or archives."""
        return [
            entry
            for entry in self._entries.values()
            if any(entry.found.path.is_relative_to(root) for root in roots)
        ]

    def write(self, entries: Sequence[Entry]) -> None:
        """Add or replace entries, in one commit."""
        changed = {
            name: entry
            for entry in entries
            if self._entries.get(name := _name(entry.found.path)) != entry
        }
        if not changed:
            return
        rows = pa.Table.from_pylist(
            [{**vars(e), **vars(e.found), "path": name} for name, e in changed.items()], _SCHEMA
        )
        if (table := self._table()) is None:
            there = Path(self._path).exists()  # what a kill left
            lance.write_dataset(rows, self._path, mode="overwrite" if there else "create")
        else:
            merge = table.merge_insert("path")
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)
        self._entries |= changed

    def drop(self, paths: Iterable[Path]) -> None:
        """Remove the entries of files, where there are any."""
        given = dict.fromkeys(_name(path) for path in paths)
        names = [name for name in given if name in self._entries]
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            lance.dataset(self._path).delete(one_of("path", part))
        for name in names:
            del self._entries[name]


def _name(path: Path) -> str:
    """Return a path as text, also where its bytes are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
