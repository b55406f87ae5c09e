"""Images inside zip and tar files, whose members have paths as if the archive were a folder."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Literal, cast

from finesight.errors import DataError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""File name endings that are taken for archives, in lower case."""

MAX_BYTES = 512 * 2**20
"""Largest member that is read: archives are read into memory, member by member."""

_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # a member behind a password, or a kind of compression that Python does not know
    ValueError,
)


class ArchiveError(DataError):
    """An archive or a member that cannot be read; the message is the reason, without the path."""


@dataclass(frozen=True)
class Member:
    """A file in an archive: its path as if the archive were a folder, and its size in bytes.

    read: returns its bytes, while the archive is at this member; raises ArchiveError.
    """

    path: Path
    size: int
    read: Callable[[], bytes]


def is_archive(path: Path) -> bool:
    """Whether a file name ends like that of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def members(archive: Path) -> Iterator[Member]:
    """Yield the files in an archive, in its order; raises ArchiveError where it is damaged.

    Nothing is unpacked to disk. Folders, links and hidden files are passed over, and so are
    members whose names lead out of the archive.
    """
    try:
        files = _in_zip if archive.name.lower().endswith(".zip") else _in_tar
        for name, size, opened in files(archive):
            path = _below(archive, name)
            if path is not None:
                yield Member(path, size, partial(_read, opened, size))
    except _DAMAGED as error:
        raise ArchiveError(_reason(error)) from error


def read_member(path: Path) -> bytes | None:
    """Return the bytes of a member by its path, or None where the path is in no archive.

    Raises ArchiveError for one that cannot be read.
    """
    archive = containing(path)
    if archive is None:
        return None
    for member in members(archive):
        if member.path == path:
            return member.read()
    raise ArchiveError(f"{archive} holds no such file any more")


def containing(path: Path) -> Path | None:
    """Return the archive that a path leads into, if any."""
    return next((p for p in path.parents if is_archive(p) and p.is_file()), None)


_Opened = Callable[[], IO[bytes] | None]


def _in_zip(archive: Path) -> Iterator[tuple[str, int, _Opened]]:
    """Yield name, size and opener of each file."""
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if not info.is_dir():
                yield info.filename, info.file_size, partial(file.open, info)


def _in_tar(archive: Path) -> Iterator[tuple[str, int, _Opened]]:
    # A plain tar is passed through by seeking, a compressed one read as a stream.
    mode: Literal["r:", "r|*"] = "r:" if archive.suffix.lower() == ".tar" else "r|*"
    with tarfile.open(archive, mode) as file:
        for info in file:
            if info.isfile():
                yield info.name, info.size, partial(file.extractfile, info)
            file.members = []  # type: ignore[attr-defined]  # else a shard's headers stay


def _read(opened: _Opened, size: int) -> bytes:
    """Read a member, but no more than MAX_BYTES, whatever its header says."""
    try:
        with cast(IO[bytes], opened()) as stream:  # None where it is no plain file
            data = stream.read(MAX_BYTES + 1) if size <= MAX_BYTES else None
    except _DAMAGED as error:
        raise ArchiveError(_reason(error)) from error
    if data is None or len(data) > MAX_BYTES:
        raise ArchiveError(f"too large: over {MAX_BYTES // 2**20} MB inside an archive; unpack it")
    if len(data) < size:
        raise ArchiveError("damaged archive: a member ends too early")
    return data


def _below(archive: Path, name: str) -> Path | None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith("/") or any(p.startswith(".") for p in parts):
        return None
    return None if parts[0] == "__MACOSX" else archive.joinpath(*parts)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"damaged archive: {error or type(error).__name__}"
