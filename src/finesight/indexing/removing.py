"""Takes images out of a collection by their paths; the files are left alone."""

import fnmatch
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from finesight.errors import InputError
from finesight.images.archives import containing
from finesight.store.folder import CollectionFolder


def remove(folder: CollectionFolder, given: Sequence[Path | str]) -> int:
    """Take images out of every model's table, by file, folder, archive or pattern; return how many.

    Raises InputError where the collection has none of them.
    """
    wanted = _Wanted(given)
    with folder.writing():
        counts = []
        for table in map(folder.table, folder.need().entries):
            rows = table.read(["id", "path"]).to_pylist()
            found = [row["id"] for row in rows if wanted.match(row["path"])]
            table.delete(found)
            counts.append(len(found))
        ledger = folder.ledger()
        gone = [skipped.path for skipped in ledger.skipped() if wanted.match(str(skipped.path))]
        # Archives are opened again when they are next indexed.
        ledger.drop([*gone, *filter(wanted.touches, ledger.opened())])
    if not (any(counts) or gone):
        names = ", ".join(map(str, given))
        raise InputError(f"{folder.directory} holds no image of {names}")
    return counts[0]


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
