"""Finds the image files of folders, each once, also where links go in circles."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from finesight.errors import InputError
from finesight.images import SUFFIXES


@dataclass(frozen=True)
class Skipped:
    """A file or folder that was not indexed, and why."""

    path: Path
    reason: str


def find_images(paths: Iterable[Path]) -> tuple[list[Path], list[Skipped]]:
    """Return the image files of folders and files, absolute, without links, in order; what not.

    A file named by itself is taken whatever its ending. Hidden folders are passed over, links
    are followed; folders inside that cannot be read and links that lead nowhere are in the
    second list. Raises InputError for a path that is missing or cannot be read, or if nothing
    is found.
    """
    paths = list(paths)
    found: dict[Path, None] = {}
    skipped: list[Skipped] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.is_dir():
            if not os.access(path, os.R_OK | os.X_OK):
                raise InputError(f"{path} cannot be read: check its permissions")
            for item in _walk(path.resolve(), set()):
                if isinstance(item, Skipped):
                    skipped.append(item)
                else:
                    found[item] = None
        else:
            found[path.resolve()] = None
    if not found:
        names = ", ".join(str(path) for path in paths)
        endings = " ".join(sorted(SUFFIXES))
        reasons = "".join(f"; {item.path} {item.reason}" for item in skipped[:3])
        raise InputError(f"no image files in {names} (file names ending in {endings}){reasons}")
    return list(found), skipped


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path | Skipped]:
    """Yield the image files below a resolved folder; `seen` holds the folders already walked."""
    if folder in seen:
        return
    seen.add(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(folder, f"cannot be read: {error.strerror or error}")
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir():
                yield from _walk(path.resolve(), seen)
            elif path.suffix.lower() in SUFFIXES:
                yield Path(os.path.realpath(path, strict=True))
        except OSError as error:  # a link that leads nowhere or to itself
            yield Skipped(path, f"cannot be read: {error.strerror or error}")
