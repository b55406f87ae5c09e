"""Which files a user does not want: `.finesightignore`, in the syntax of `.gitignore`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.errors import InputError

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
