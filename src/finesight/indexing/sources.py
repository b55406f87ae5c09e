"""The images of a run one after another: files, and what lies in archives, with their notes."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from finesight.annotations.notes import Note, Notes, note_of_sidecars
from finesight.images.archives import ArchiveError, members
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


@dataclass
class Sources:
    """The images of some files and archives; archives are read as their images are asked for.

    images, archives: the files; suffixes: of the images in archives; wanted: whether a member of
    an archive is; fail: is told of members that cannot be read. given: how many images were handed
    out so far; in_archives: how many of these from archives.
    """

    plan: Plan
    notes: Notes
    images: Sequence[Found]
    archives: Sequence[Found]
    suffixes: frozenset[str]
    wanted: Callable[[Path], bool]
    fail: Callable[[Found, str], None]
    given: int = 0
    in_archives: int = 0
    # Archives, by the images handed out until they ended.
    _ended: list[tuple[int, Entry]] = field(default_factory=list)

    def read(self) -> Iterator[Source]:
        """Yield all images, those of archives last."""
        for found in self.images:
            self.given += 1
            yield Source(found, note=self.notes.of(found.path))
        for archive in self.archives:
            reason = None
            try:
                for source in self._members(archive):
                    self.given += 1
                    self.in_archives += 1
                    yield source
            except ArchiveError as error:
                reason = str(error)
                self.plan.skipped.append(Skipped(archive.path, reason))
                self.plan.unsure.append(archive.path)
            self._ended.append((self.given, Entry(archive, self.plan.opened, reason)))

    def ended(self, taken: int) -> list[Entry]:
        """Return, once, the archives all of whose images are among the first `taken`."""
        done = [entry for given, entry in self._ended if given <= taken]
        self._ended = [each for each in self._ended if each[0] > taken]
        return done

    def _members(self, archive: Found) -> Iterator[Source]:
        """Yield the new images of an archive, each with the words in the files beside it."""
        for _, group in itertools.groupby(members(archive.path), lambda m: m.path.with_suffix("")):
            sidecars: dict[str, bytes] = {}
            images: list[Source] = []
            for member in group:
                suffix = member.path.suffix.lower()
                found = Found(member.path, member.size, archive.mtime_ns)
                try:
                    if suffix in self.suffixes:
                        if self.wanted(member.path) and self.plan.is_new(found):
                            images.append(Source(found, member.read()))
                    elif suffix in _SIDECARS and member.size <= _SIDECAR_BYTES:
                        sidecars[suffix[1:]] = member.read()
                except ArchiveError as error:
                    self.fail(found, str(error))
            note = note_of_sidecars(sidecars) if images else Note()
            for source in images:
                yield replace(source, note=note.joined(self.notes.of(source.found.path)))
