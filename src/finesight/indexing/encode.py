"""Turns image files into what was seen: decode and cut in threads, encode in batches, in order."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import xxhash

from finesight.annotations.notes import Note
from finesight.encoders.crops import encode_ahead
from finesight.images.open import MAX_PIXELS, Header, ImageError, Picture, decode_image, read_header
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.images.raw import NoPreviewError, read_preview
from finesight.images.tiles import open_tiles
from finesight.indexing.fusing import fuse
from finesight.models import Model
from finesight.proposals import Proposals, Proposer, parse_proposer
from finesight.proposals.tiles import encode_tiles, is_large
from finesight.types import Float32, Found, ImageVectors, UInt8

# Pixels that are decoded at the same time, in all threads together; one image may be larger.
_PIXELS_AT_ONCE = 150_000_000
# Bytes of archives' members that wait to be decoded, beside the one that is read last.
_BYTES_AHEAD = 256 * 2**20
# Larger files are hashed and decoded from disk instead of from memory.
_IN_MEMORY = 64 * 2**20


@dataclass(frozen=True)
class Source:
    """An image to look at. data: its bytes where it lies in an archive; note: found beside it."""

    found: Found
    data: bytes | None = None
    note: Note = field(default_factory=Note)


@dataclass(frozen=True)
class Seen:
    """A file that was looked at: what its header says, what was seen, and the vectors kept."""

    source: Source
    sha256: str
    header: Header
    pixels: str
    vectors: ImageVectors
    fused: Float32


@dataclass(frozen=True)
class Same:
    """A file whose bytes were looked at before."""

    source: Source
    sha256: str


@dataclass(frozen=True)
class Failed:
    """A file that could not be looked at, and why. lasting: until it changes."""

    source: Source
    reason: str
    lasting: bool = True


@dataclass(frozen=True)
class _Cut:
    """An image that waits to be encoded. large: the file itself where it is a very large one."""

    source: Source
    sha256: str
    header: Header
    pixels: str = ""
    proposals: Proposals | None = None
    large: bytes | Path | None = None


def encode_files(
    sources: Iterable[Source],
    model: Model,
    regions: str,
    vectors: int,
    known: Callable[[str], bool],
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Seen | Same | Failed]:
    """Yield what was seen in every file, or why it was not, in order.

    vectors: k, how many are kept of each image besides its regions;
    known: whether these bytes (by sha256) were looked at before, which spares encoding them.
    Memory is bounded by the few images that are decoded ahead.
    """
    look = _Look(model, parse_proposer(regions, model.capabilities), vectors, known, max_pixels)
    for item, embeddings in encode_ahead(look.given(sources), look.prepare, model.encoder):
        yield look.finish(item, embeddings)


class _Look:
    """How one run looks at images."""

    def __init__(
        self,
        model: Model,
        proposer: Proposer,
        vectors: int,
        known: Callable[[str], bool],
        max_pixels: int,
    ) -> None:
        self.model, self.proposer, self.vectors = model, proposer, vectors
        self.known, self.max_pixels = known, max_pixels
        self.room = _Room(_PIXELS_AT_ONCE)
        self._bytes = 0  # that were read from archives and are not decoded yet
        self._counting = threading.Lock()

    def given(self, sources: Iterable[Source]) -> Iterator[Source | None]:
        """Yield the sources; None while too many bytes wait to be decoded."""
        for source in sources:
            self._count(len(source.data or b""))
            yield source
            while self._bytes > _BYTES_AHEAD:
                yield None

    def _count(self, more: int) -> None:
        with self._counting:
            self._bytes += more

    def prepare(self, source: Source) -> tuple[_Cut | Same | Failed, UInt8 | None]:
        """Read, decode and cut one file, in whichever thread; the crops are what to encode."""
        try:
            return self._prepare(source)
        finally:
            self._count(-len(source.data or b""))

    def _prepare(self, source: Source) -> tuple[_Cut | Same | Failed, UInt8 | None]:
        path = source.found.path
        try:
            str(path).encode()
        except UnicodeEncodeError:
            return Failed(source, "its name is not valid UTF-8: rename it", lasting=False), None
        try:
            data, digest = _read(source)
            source = replace(source, data=None)  # what waits to be encoded holds no files
            if self.known(digest):
                return Same(source, digest), None
            if path.suffix.lower() in RAW_SUFFIXES:
                data = read_preview(data)
            return self._cut(source, data, digest)
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            return Failed(source, reason, lasting=False), None
        except (ImageError, NoPreviewError) as error:
            return Failed(source, str(error)), None

    def _cut(self, source: Source, data: bytes | Path, digest: str) -> tuple[_Cut, UInt8 | None]:
        header = read_header(data, self.max_pixels)
        size = (header.width, header.height)
        if is_large(*size):
            return _Cut(source, digest, header, large=data), None
        preprocessing = self.model.encoder.preprocessing
        shrink = preprocessing.shrink(size, self.proposer.finest(*size))
        with self.room.take(size[0] * size[1]):
            image = decode_image(data, self.max_pixels, shrink)
            if shrink == 1 and image.size != size:  # turned by what stands behind the pixels
                size = image.size
                header = replace(header, width=image.width, height=image.height)
            picture = Picture(image, size, source.found.path)
            proposals, crops = self.proposer.propose(picture, preprocessing)
            return _Cut(source, digest, header, _hash_of_look(size, crops[0]), proposals), crops

    def finish(
        self, item: _Cut | Same | Failed, embeddings: Float32 | None
    ) -> Seen | Same | Failed:
        """Fuse what was encoded; look at a very large image here, one at a time."""
        if not isinstance(item, _Cut):
            return item
        if item.large is not None:
            return self._look_in_tiles(item, item.large)
        assert item.proposals is not None and embeddings is not None
        return self._seen(item, item.proposals.complete(embeddings), item.pixels)

    def _look_in_tiles(self, item: _Cut, data: bytes | Path) -> Seen | Failed:
        size = (item.header.width, item.header.height)
        try:
            with self.room.take(size[0] * size[1]):
                read = open_tiles(data, size, self.max_pixels)
                seen, pixels = encode_tiles(
                    read, size, self.model.encoder, self.proposer, item.source.found.path
                )
        except ImageError as error:
            return Failed(item.source, str(error))
        return self._seen(item, seen, pixels)

    def _seen(self, item: _Cut, seen: ImageVectors, pixels: str) -> Seen:
        fused = fuse(self.model, seen, self.vectors)
        return Seen(item.source, item.sha256, item.header, pixels, seen, fused)


class _Room:
    """How many pixels may be decoded at the same time; who wants more waits."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Wait until there is room; an image that is larger than all of it has it alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + pixels <= self._pixels)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()


def _read(source: Source) -> tuple[bytes | Path, str]:
    """Return a file's bytes, or its path where it is large, and the sha256 of them."""
    path = source.found.path
    if source.data is None and source.found.size > _IN_MEMORY:
        with path.open("rb") as file:
            return path, hashlib.file_digest(file, "sha256").hexdigest()
    data = path.read_bytes() if source.data is None else source.data
    return data, hashlib.sha256(data).hexdigest()


def _hash_of_look(size: tuple[int, int], whole: UInt8) -> str:
    """Return what two images have in common whose pixels are the same, and few others.

    size: in pixels; whole: the image as the model sees it (side, side, 3). All the pixels would
    take a core some milliseconds an image: they are compared when somebody asks for duplicates.
    """
    digest = xxhash.xxh3_128(f"{size[0]}x{size[1]}".encode())
    digest.update(whole.tobytes())
    return digest.hexdigest()


def image_id(path: Path) -> str:
    """Return the id of a path that is new to a collection."""
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
