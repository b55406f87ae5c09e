"""Takes images out of a collection by their paths; the files are left alone."""

import fnmatch
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from finesight.images.archives import containing
from finesight.store.ledger import Ledger
from finesight.store.table import ImageTable


def remove_rows(table: ImageTable, given: Sequence[Path | str]) -> int:
    """Remove the images that are given, lie below a given folder, or match a given pattern."""
    rows = table.read(["id", "path"])
    wanted = _Wanted(given)
    found = [
        id_
        for id_, path in zip(rows["id"].to_pylist(), rows["path"].to_pylist(), strict=True)
        if wanted.match(path)
    ]
    table.delete(found)
    return len(found)


def forget(ledger: Ledger, given: Sequence[Path | str]) -> int:
    """Forget the skipped files that are given; archives are opened again when next indexed."""
    wanted = _Wanted(given)
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
