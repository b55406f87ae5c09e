"""Finds the image files of folders, each once, also where links go in circles."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from finesight.errors import InputError
from finesight.images import SUFFIXES


def find_images(paths: Iterable[Path]) -> list[Path]:
    """Return the image files of folders and files, absolute, without links, in order.

    A file named by itself is taken whatever its ending. Hidden folders are passed over, links
    are followed. Raises InputError for a path that is missing or cannot be read, or if nothing
    is found.
    """
    paths = list(paths)
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.is_dir():
            if not os.access(path, os.R_OK | os.X_OK):
                raise InputError(f"{path} cannot be read: check its permissions")
            found.update(dict.fromkeys(_walk(path.resolve(), set())))
        else:
            found[path.resolve()] = None
    if not found:
        names = ", ".join(str(path) for path in paths)
        endings = " ".join(sorted(SUFFIXES))
        raise InputError(f"no image files in {names} (file names ending in {endings})")
    return list(found)


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the image files below a resolved folder; `seen` holds the folders already walked."""
    if folder in seen:
        return
    seen.add(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return  # a folder inside that may not be read
    for entry in entries:
        path = Path(entry.path)
        try:
            if entry.is_dir():
                if not entry.name.startswith("."):
                    yield from _walk(path.resolve(), seen)
            elif path.suffix.lower() in SUFFIXES and not entry.name.startswith("."):
                yield path.resolve()
        except OSError:
            continue  # a link that leads nowhere or to itself
