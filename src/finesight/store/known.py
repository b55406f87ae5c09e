"""What a collection held when a run of indexing began: by path, and by content."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from finesight.images.archives import SUFFIXES as ARCHIVES
from finesight.images.archives import containing
from finesight.store.schema import Record, to_record
from finesight.store.table import ImageTable
from finesight.types import Found

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
        places: dict[str, list[int]] = {}
        for i, path in enumerate(self.paths):
            for match in _IN_ARCHIVE.finditer(path):
                places.setdefault(path[: match.end()], []).append(i)
        return places

    def below(self, roots: Iterable[Path]) -> Iterator[int]:
        """Yield the places of the rows whose paths are these, or lie below them."""
        folders = [(str(root), f"{root}{os.sep}".replace(os.sep * 2, os.sep)) for root in roots]
        for i, path in enumerate(self.paths):
            if any(path == name or path.startswith(inside) for name, inside in folders):
                yield i


def is_gone(path: Path) -> bool:
    """Whether a file is not there; one that cannot be seen may be, and counts as there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return containing(path) is None
    except OSError:
        return False
    return False
