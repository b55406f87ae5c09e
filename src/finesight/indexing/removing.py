"""Takes images out of a collection by their paths; the files are left alone."""

import fnmatch
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from finesight.errors import InputError
from finesight.images.archives import containing
from finesight.store.folder import CollectionFolder
from finesight.store.ledger import Ledger
from finesight.store.table import ImageTable


def remove(folder: CollectionFolder, given: Sequence[Path | str]) -> int:
    """Take images out of every model's table, by file, folder, archive or pattern; return how many.

    Raises InputError where the collection has none of them.
    """
    wanted = _Wanted(given)
    with folder.writing():
        counts = [_remove_rows(folder.table(entry), wanted) for entry in folder.need().entries]
        forgotten = _forget(folder.ledger(), wanted)
    if not (any(counts) or forgotten):
        names = ", ".join(map(str, given))
        raise InputError(f"{folder.directory} holds no image of {names}")
    return counts[0]


def _remove_rows(table: ImageTable, wanted: "_Wanted") -> int:
    rows = table.read(["id", "path"])
    pairs = zip(rows["id"].to_pylist(), rows["path"].to_pylist(), strict=True)
    found = [id_ for id_, path in pairs if wanted.match(path)]
    table.delete(found)
    return len(found)


def _forget(ledger: Ledger, wanted: "_Wanted") -> int:
    """Forget skipped files; archives are opened again when they are next indexed."""
    gone = [skipped.path for skipped in ledger.skipped() if wanted.match(str(skipped.path))]
    archives = [path for path in ledger.opened() if wanted.touches(path)]
    ledger.drop([*gone, *archives])
    return len(gone)


class _Wanted:
    """What a person named: files, folders and archives, or patterns for the end of a path."""

    def __init__(self, given: Sequence[Path | str]) -> None:
        texts = [os.path.expanduser(str(path)) for path in given]  # noqa: PTH111
        patterns = [text for text in texts if glob.has_magic(text) and not os.path.lexists(text)]
        self._patterns = [
            text if text.startswith(os.sep) else f"*{os.sep}{text}" for text in patterns
        ]
        self._places = [Path(text).resolve() for text in texts]

    def match(self, path: str) -> bool:
        """Whether a stored path is one of them, lies below one, or matches a pattern."""
        return any(
            path == str(place) or path.startswith(f"{place}{os.sep}") for place in self._places
        ) or any(fnmatch.fnmatchcase(path, pattern) for pattern in self._patterns)

    def touches(self, archive: Path) -> bool:
        """Whether something in an archive may be among them."""
        inside = any(containing(place) == archive for place in self._places)
        return self.match(str(archive)) or inside or bool(self._patterns)
