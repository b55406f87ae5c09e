"""Images inside zip and tar files, whose members have paths as if the archive were a folder."""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from finesight.errors import DataError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""File name endings that are taken for archives, in lower case."""

MAX_BYTES = 512 * 2**20
"""Largest member that is read: archives are read into memory, member by member."""

_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,  # a kind of compression that Python does not know
    RuntimeError,  # a member behind a password
    UnicodeError,
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
        if archive.name.lower().endswith(".zip"):
            yield from _zip_members(archive)
        else:
            yield from _tar_members(archive)
    except ArchiveError:
        raise
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


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            path = _below(archive, info.filename)
            if path is not None and not info.is_dir():
                yield Member(path, info.file_size, lambda info=info: _unzip(file, info))  # type: ignore[misc]


def _unzip(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with file.open(info) as stream:
            return _limited(stream.read, info.file_size)
    except _DAMAGED as error:
        raise ArchiveError(_reason(error)) from error


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, _opener(archive)) as file:  # type: ignore[call-overload]
        for info in file:
            path = _below(archive, info.name)
            if path is not None and info.isfile():
                yield Member(path, info.size, lambda info=info: _untar(file, info))  # type: ignore[misc]
            file.members = []  # else a shard's headers stay in memory


def _opener(archive: Path) -> str:
    """A plain tar is passed through by seeking, a compressed one read as a stream."""
    return "r:" if archive.suffix.lower() == ".tar" else "r|*"


def _untar(file: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    try:
        stream = file.extractfile(info)
        assert stream is not None  # it is a plain file
        return _limited(stream.read, info.size)
    except _DAMAGED as error:
        raise ArchiveError(_reason(error)) from error


def _limited(read: Callable[[int], bytes], size: int) -> bytes:
    """Read a member, but no more than MAX_BYTES, whatever its header says."""
    if size <= MAX_BYTES:
        data = read(MAX_BYTES + 1)
        if len(data) < size:
            raise ArchiveError("damaged archive: a member ends too early")
        if len(data) <= MAX_BYTES:
            return data
    raise ArchiveError(f"too large: over {MAX_BYTES // 2**20} MB inside an archive; unpack it")


def _below(archive: Path, name: str) -> Path | None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith("/") or any(p.startswith(".") for p in parts):
        return None
    if parts[0] == "__MACOSX":
        return None
    return archive.joinpath(*parts)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"damaged archive: {error or type(error).__name__}"
