"""What a run has to do: which files are new, changed, moved or gone since the last one.

Everything here compares file names, sizes, times and hashes; nothing is decoded or written.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from finesight.images.archives import SUFFIXES as ARCHIVES
from finesight.images.archives import containing
from finesight.store.ledger import Entry, Ledger
from finesight.store.schema import Record, to_record
from finesight.store.table import ImageTable
from finesight.types import Found, Skipped

_IN_ARCHIVE = re.compile(f"({'|'.join(map(re.escape, ARCHIVES))})(?=[/\\\\])", re.IGNORECASE)


class Known:
    """The rows of one version of a table; they stay readable while newer ones are written."""

    def __init__(self, table: ImageTable, regions_name: str) -> None:
        self.table, self.regions_name = table, regions_name
        rows = table.read(["path", "id", "size", "mtime_ns", "looked"])
        self.paths: list[str] = rows["path"].to_pylist()
        self.ids: list[str] = rows["id"].to_pylist()
        self._size = rows["size"].to_numpy()
        self._mtime = rows["mtime_ns"].to_numpy()
        self._alike = np.array([name == regions_name for name in rows["looked"].to_pylist()], bool)
        self.place: dict[str, int] = {path: i for i, path in enumerate(self.paths)}

    def unchanged(self, found: Found) -> bool:
        """Whether a file is here as it is now, with the regions of today."""
        i = self.place.get(str(found.path))
        if i is None or not self._alike[i]:
            return False
        return (found.size, found.mtime_ns) == (self._size[i], self._mtime[i])

    @cached_property
    def by_content(self) -> dict[str, list[int]]:
        """The places of the rows with the regions of today, by sha256."""
        places = defaultdict(list)
        for i, digest in enumerate(self.table.read(["sha256"])["sha256"].to_pylist()):
            if self._alike[i]:
                places[digest].append(i)
        return dict(places)

    def record(self, place: int) -> Record:
        """Return a whole row."""
        return to_record(self.table.take([place]))

    @cached_property
    def by_archive(self) -> dict[str, list[int]]:
        """The places of the rows whose images lie in archives, by the archive's path."""
        places = defaultdict(list)
        for i, path in enumerate(self.paths):
            for match in _IN_ARCHIVE.finditer(path):
                places[path[: match.end()]].append(i)
        return dict(places)

    def below(self, roots: Iterable[Path]) -> Iterator[int]:
        """Yield the places of the rows whose paths are these, or lie below them."""
        folders = [(str(root), f"{root}{os.sep}".replace(os.sep * 2, os.sep)) for root in roots]
        for i, path in enumerate(self.paths):
            if any(path == name or path.startswith(inside) for name, inside in folders):
                yield i


class Plan:
    """The files of one run, compared with the rows and the ledger that it began with.

    known: the rows; met: the paths that are there, below the given folders. unsure: folders and
    archives that could not be read to the end, in which nothing counts as gone. unchanged, moved:
    how many images; skipped: what could not be indexed, now or before.
    """

    def __init__(self, known: Known, ledger: Ledger, tried: str, opened: str) -> None:
        """Begin a run. tried, opened: how it reads files and archives, as the ledger has it."""
        self.known, self.ledger = known, ledger
        self.tried, self.opened = tried, opened
        self._ids = set(known.ids)
        self._moved: set[int] = set()  # places of rows that moved
        self.met: set[str] = set()
        self.unsure: list[Path] = []
        self.skipped: list[Skipped] = []
        self.unchanged = 0

    @property
    def moved(self) -> int:
        """The number of images of which only the path changed."""
        return len(self._moved)

    def is_new(self, found: Found) -> bool:
        """Whether a file has to be read: it is new, or has changed since it was indexed."""
        self.met.add(str(found.path))
        if self.known.unchanged(found):
            self.unchanged += 1
            return False
        return not self.was_skipped(found)

    def was_skipped(self, found: Found) -> bool:
        """Whether a file failed before, as it is now and would be read now."""
        entry = self.ledger.of(found, self.tried)
        return entry is not None and self._remember(entry)

    def _remember(self, entry: Entry) -> bool:
        """Note what an earlier run says of a file; whether that is why it was skipped."""
        if entry.reason is not None:
            self.skipped.append(Skipped(entry.found.path, entry.reason, remembered=True))
        return entry.reason is not None

    def is_new_archive(self, found: Found) -> bool:
        """Whether an archive has to be opened; one that was read to the end costs a stat."""
        self.met.add(str(found.path))
        entry = self.ledger.of(found, self.opened)
        if entry is None:
            return True
        if self._remember(entry):
            self.unsure.append(found.path)
        inside = self.known.by_archive.get(str(found.path), [])
        self.unchanged += len(inside)
        self.met.update(self.known.paths[place] for place in inside)
        for each in self.ledger.below([found.path]):
            if each.found.path != found.path and self._remember(each):
                self.met.add(str(each.found.path))
        return False

    def claim(self, found: Found, sha256: str) -> str | None:
        """Return the id of the row that is this file, touched or moved; None for a copy."""
        alike = self.known.by_content.get(sha256, [])
        own = self.known.place.get(str(found.path))
        if own in alike:
            self.unchanged += 1
            return self.known.ids[own]
        if own is None:
            for place in filter(self._has_left, alike):
                self._moved.add(place)
                return self.known.ids[place]
        return None

    def _has_left(self, place: int) -> bool:
        path = self.known.paths[place]
        return place not in self._moved and path not in self.met and _is_gone(Path(path))

    def id_for(self, path: Path, wanted: str | None = None) -> str:
        """Return the id of a path: its row's, or a new one; ids of moved rows went with them.

        wanted: the new one, if no other row has it.
        """
        place = self.known.place.get(str(path))
        if place is not None and place not in self._moved:
            return self.known.ids[place]
        id_ = wanted or image_id(path)
        while id_ in self._ids:
            id_ = image_id(Path(id_))
        self._ids.add(id_)
        return id_

    def gone(self, roots: Sequence[Path]) -> list[str]:
        """Return the ids of rows below the given folders whose files this run did not meet."""
        return [
            self.known.ids[place]
            for place in self.known.below(roots)
            if place not in self._moved and self._is_unmet(Path(self.known.paths[place]))
        ]

    def failures_gone(self, roots: Sequence[Path]) -> list[Path]:
        """Return the files of the ledger below the given folders that this run did not meet."""
        paths = (entry.found.path for entry in self.ledger.below(roots))
        return [path for path in paths if self._is_unmet(path)]

    def _is_unmet(self, path: Path) -> bool:
        unsure = any(path.is_relative_to(folder) for folder in self.unsure)
        return str(path) not in self.met and not unsure


def image_id(path: Path) -> str:
    """Return the id of a path that is new to a collection."""
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()


def _is_gone(path: Path) -> bool:
    """Whether a file is not there; one that cannot be seen may be, and counts as there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return containing(path) is None
    except OSError:
        return False
    return False
