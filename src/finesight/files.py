"""Files that are seen whole or not at all, and that a power cut does not take back."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from finesight.errors import InputError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file to, which takes its place at the end.

    File and folder are synced to the disk before this returns. Where writing fails, what was
    there stays as it was. Raises OSError.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace a file, as `atomic` does; texts are written in UTF-8."""
    with atomic(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Any) -> None:
    """Replace a file by JSON that people can read, as `atomic` does."""
    write_atomic(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return an object of JSON; an empty one where the file is not there, damaged or no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def need_new(path: Path) -> None:
    """Raise InputError for a place in which there is something already."""
    if path.exists():
        raise InputError(f"{path} is there already: name a new folder")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` to write to, which takes its place at the end, whole.

    Until then it is in a hidden folder, which is gone at the end. Raises InputError where there is
    something already, an empty folder apart.
    """
    if not path.is_dir() or any(path.iterdir()):
        need_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as place:
        folder = Path(place) / "new"
        folder.mkdir()
        yield folder
        if path.exists():
            path.rmdir()
        folder.rename(path)


def _sync_folder(folder: Path) -> None:
    """Sync the folder's entries, where the system has such a thing (Windows has not)."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
