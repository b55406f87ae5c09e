"""Finds the image files of folders, each once, also where links go in circles.

What a user does not want is left out: `.finesightignore`, in the syntax of `.gitignore`.
"""

import glob
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.annotations.notes import is_annotation
from finesight.errors import InputError
from finesight.images.archives import is_archive
from finesight.images.open import SUFFIXES
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.types import Found, Skipped

if TYPE_CHECKING:
    import pathspec

FILE = ".finesightignore"
"""Patterns for the folder it lies in and all below, one a line, as in `.gitignore`."""


@dataclass(frozen=True)
class Ignored:
    """The patterns that hold in a folder: those of the folders above it first, then its own."""

    _layers: tuple[tuple[Path, "pathspec.GitIgnoreSpec"], ...] = ()

    def inside(self, folder: Path) -> "Ignored":
        """Return what holds in a folder below, with its own file; raises InputError for bad ones.

        An ignore file that cannot be read is an error: what it keeps out must not slip in.
        """
        file = folder / FILE
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return self
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read: {error}") from error
        return self.with_patterns(folder, lines, str(file))

    def with_patterns(self, folder: Path, lines: Sequence[str], source: str) -> "Ignored":
        """Return what holds with more patterns for a folder; source: named in the error."""
        import pathspec  # searching does without

        try:
            spec = pathspec.GitIgnoreSpec.from_lines(lines)
        except ValueError as error:
            raise InputError(f"{source} has a pattern that is not valid: {error}") from error
        return Ignored((*self._layers, (folder, spec)))

    def match(self, path: Path, is_folder: bool = False) -> bool:
        """Whether a path is ignored; the last pattern that matches it decides, as in Git."""
        for folder, spec in reversed(self._layers):
            name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
            decided = spec.check_file(name).include
            if decided is not None:
                return decided
        return False


@dataclass
class Findings:
    """What lies under the given paths.

    images, archives, annotations: the files, in order, each once; skipped: what could not be
    read; roots: the given folders and files themselves, absolute and without links.
    """

    images: list[Found] = field(default_factory=list)
    archives: list[Found] = field(default_factory=list)
    annotations: list[Found] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    roots: list[Path] = field(default_factory=list)


def find_images(
    paths: Iterable[Path | str],
    *,
    listed: bool = False,
    exclude: Sequence[str] = (),
    raw: bool = False,
) -> Findings:
    """Return the images, archives and annotations among files and below folders.

    paths: also patterns such as "photos/**/*.jpg". A file named by itself is taken whatever its
    ending. Hidden folders are passed over, and what `.finesightignore` or `exclude` (patterns in
    the same syntax) keep out; links are followed. listed: the paths come from a list: those
    that are gone are skipped, not errors. raw: the previews of raw files as well.
    Raises InputError for a path that is missing or cannot be read, or if nothing is found.
    """
    given = list(paths)
    walk = _Walk(SUFFIXES | RAW_SUFFIXES if raw else SUFFIXES, exclude)
    for path in (each for name in given for each in _expand(Path(name).expanduser())):
        try:
            walk.start(path)
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            if listed:
                walk.found.skipped.append(Skipped(path.absolute(), reason))
                continue
            gone = isinstance(error, FileNotFoundError)
            raise InputError(f"{path} {'does not exist' if gone else reason}") from error
    found = walk.found
    if not (found.images or found.archives or found.annotations or listed):
        names = ", ".join(str(path) for path in given)
        endings = " ".join(sorted(walk.suffixes))
        reasons = "".join(f"; {item.path} {item.reason}" for item in found.skipped[:3])
        raise InputError(f"no image files in {names} (file names ending in {endings}){reasons}")
    return found


def _expand(path: Path) -> list[Path]:
    """Return the paths that match a pattern; a path without one, or that is there, is itself."""
    if not glob.has_magic(str(path)) or os.path.lexists(path):
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    if not matches:
        raise InputError(f"no file matches {path}")
    return [Path(match) for match in matches]


class _Walk:
    """One walk: what it found, and where it has been."""

    def __init__(self, suffixes: frozenset[str], exclude: Sequence[str]) -> None:
        self.suffixes = suffixes
        self.exclude = list(exclude)
        self.found = Findings()
        self.been: set[str] = set()  # folders and files

    def start(self, path: Path) -> None:
        """Take a path that was named; raises OSError where it is not there."""
        path = path.resolve(strict=True)
        self.found.roots.append(path)
        if not path.is_dir():
            self._take(path, path.stat(), named=True)
            return
        if not os.access(path, os.R_OK | os.X_OK):
            raise PermissionError(13, "Permission denied: check its permissions")
        self._folder(path)

    def _folder(self, folder: Path, ignored: Ignored | None = None) -> None:
        """Take what is in a folder; ignored: what holds in the one above, where it has one."""
        if str(folder) in self.been:
            return
        self.been.add(str(folder))
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self._skip(folder, error)
            return
        ignored = ignored or Ignored().with_patterns(folder, self.exclude, "--exclude")
        ignored = ignored.inside(folder)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                self._entry(Path(entry.path), entry, ignored)
            except OSError as error:  # a link that leads nowhere or to itself
                self._skip(Path(entry.path), error)

    def _entry(self, path: Path, entry: os.DirEntry[str], ignored: Ignored) -> None:
        linked, suffix = entry.is_symlink(), path.suffix
        if entry.is_dir():
            # The tables of a collection that lies among its pictures are no place to search.
            wanted = suffix != ".lance"
        else:
            wanted = suffix.lower() in self.suffixes or is_archive(path) or is_annotation(path)
        if not wanted or ignored.match(path, is_folder=entry.is_dir()):
            return
        path = path.resolve(strict=True) if linked else path
        if entry.is_dir():
            self._folder(path, None if linked else ignored)
        else:
            self._take(path, entry.stat())

    def _take(self, path: Path, status: os.stat_result, named: bool = False) -> None:
        if str(path) in self.been:
            return
        self.been.add(str(path))
        if not stat.S_ISREG(status.st_mode):
            self.found.skipped.append(Skipped(path, "cannot be read: not a plain file"))
            return
        found = self.found
        kind = found.archives if is_archive(path) else found.images
        kind = found.annotations if is_annotation(path, named) else kind
        kind.append(Found(path, status.st_size, status.st_mtime_ns))

    def _skip(self, path: Path, error: OSError) -> None:
        reason = f"cannot be read: {error.strerror or error}"
        self.found.skipped.append(Skipped(path, reason))
