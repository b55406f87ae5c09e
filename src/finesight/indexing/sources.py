"""The images of a run one after another: files, and what lies in archives, with their notes."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from finesight.annotations.notes import Note, Notes, note_of_sidecars
from finesight.images.archives import ArchiveError, Member, members
from finesight.images.open import SUFFIXES
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.indexing.plan import Plan
from finesight.store.ledger import Entry
from finesight.types import Found, Skipped

_SIDECARS = {".txt", ".text", ".caption", ".json"}  # of a webdataset
_SIDECAR_BYTES = 2**20


@dataclass(frozen=True)
class Source:
    """An image to index. data: its bytes where it lies in an archive; note: found beside it."""

    found: Found
    data: bytes | None = None
    note: Note = field(default_factory=Note)


class Sources:
    """The images of some files and archives; archives are read as their images are asked for.

    given: how many images were handed out so far; in_archives: how many of these from archives.
    """

    def __init__(
        self,
        plan: Plan,
        notes: Notes,
        raw: bool,
        opened: str,
        wanted: Callable[[Path], bool],
        fail: Callable[[Found, str], None],
    ) -> None:
        """Prepare to read. raw: raw files count as images; opened: what archives are opened for.

        wanted: whether a member of an archive is; fail: is told of members that cannot be read.
        """
        self._plan, self._notes, self._opened = plan, notes, opened
        self._suffixes = SUFFIXES | RAW_SUFFIXES if raw else SUFFIXES
        self._wanted, self._fail = wanted, fail
        self._ended: list[tuple[int, Entry]] = []  # archives, by the images handed out until then
        self.given = self.in_archives = 0

    def read(self, images: Sequence[Found], archives: Sequence[Found]) -> Iterator[Source]:
        """Yield all images, those of archives last."""
        for found in images:
            self.given += 1
            yield Source(found, note=self._notes.of(found.path))
        for archive in archives:
            reason = None
            try:
                for source in self._members(archive):
                    self.given += 1
                    self.in_archives += 1
                    yield source
            except ArchiveError as error:
                reason = str(error)
                self._plan.skipped.append(Skipped(archive.path, reason))
                self._plan.unsure.append(archive.path)
            self._ended.append((self.given, Entry(archive, self._opened, reason)))

    def ended(self, taken: int) -> list[Entry]:
        """Return, once, the archives all of whose images are among the first `taken`."""
        done = [entry for given, entry in self._ended if given <= taken]
        self._ended = [each for each in self._ended if each[0] > taken]
        return done

    def _members(self, archive: Found) -> Iterator[Source]:
        """Yield the new images of an archive, each with the words in the files beside it."""
        for _, group in itertools.groupby(members(archive.path), _without_ending):
            sidecars: dict[str, bytes] = {}
            images: list[Source] = []
            for member in group:
                suffix = member.path.suffix.lower()
                found = Found(member.path, member.size, archive.mtime_ns)
                try:
                    if suffix in self._suffixes:
                        if self._wanted(member.path) and self._plan.is_new(found):
                            images.append(Source(found, member.read()))
                    elif suffix in _SIDECARS and member.size <= _SIDECAR_BYTES:
                        sidecars[suffix[1:]] = member.read()
                except ArchiveError as error:
                    self._fail(found, str(error))
            note = note_of_sidecars(sidecars) if images else Note()
            for source in images:
                yield replace(source, note=note.joined(self._notes.of(source.found.path)))


def _without_ending(member: Member) -> Path:
    return member.path.with_suffix("")
