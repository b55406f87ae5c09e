"""Decodes, cuts and encodes image files: cut in threads, encoded in batches, returned in order."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import xxhash

from finesight.encoders.crops import encode_ahead
from finesight.images.open import MAX_PIXELS, Header, ImageError, Picture, decode_image, read_header
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.images.raw import NoPreviewError, read_preview
from finesight.images.tiles import open_tiles
from finesight.indexing.sources import Source
from finesight.models import Model
from finesight.proposals import Proposer, parse_proposer
from finesight.proposals.tiles import encode_tiles, is_large
from finesight.types import Float32, Found, ImageVectors, UInt8

# Pixels that are decoded at the same time, in all threads together; one image may be larger.
_PIXELS_AT_ONCE = 150_000_000
# Bytes of archives' members that wait to be decoded, beside the one that is read last.
_BYTES_AHEAD = 256 * 2**20
# A larger image, which is one of many tiles, is fused in runs of so many regions.
_REGIONS = 512
# Larger files are hashed and decoded from disk instead of from memory.
_IN_MEMORY = 64 * 2**20


@dataclass(frozen=True)
class Seen:
    """A file that was encoded: what its header says, its regions, and the fused vectors kept.

    pixels: a hash that images of the same pixels share.
    """

    source: Source
    sha256: str
    header: Header
    pixels: str
    vectors: ImageVectors
    fused: Float32


@dataclass(frozen=True)
class Same:
    """A file whose bytes were encoded before."""

    source: Source
    sha256: str


@dataclass(frozen=True)
class Failed:
    """A file that could not be encoded, and why. lasting: until it changes."""

    source: Source
    reason: str
    lasting: bool = True


Outcome = Seen | Same | Failed
"""What comes of one file."""

Finish = Callable[[Float32 | None], Outcome]
"""Makes the outcome of a file that was prepared, from the embeddings of its crops."""


def encode_sources(
    sources: Iterable[Source],
    model: Model,
    regions: str,
    vectors: int,
    known: Callable[[str], bool],
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Outcome]:
    """Yield what came of every file, in order: decoded, cut, encoded and fused.

    vectors: k, how many are kept of each image besides its regions;
    known: whether these bytes (by sha256) were encoded before, which spares encoding them.
    Memory is bounded by the few images that are decoded ahead.
    """
    proposer = parse_proposer(regions, model.capabilities)
    run = _Encoding(model, proposer, vectors, known, max_pixels)
    for finish, embeddings in encode_ahead(run.given(sources), run.prepare, model.encoder):
        yield finish(embeddings)


@dataclass
class _Encoding:
    """How one run encodes images."""

    model: Model
    proposer: Proposer
    vectors: int
    known: Callable[[str], bool]
    max_pixels: int
    room: "_Room" = field(default_factory=lambda: _Room(_PIXELS_AT_ONCE))
    waiting: int = 0  # bytes that were read from archives and are not decoded yet
    counting: threading.Lock = field(default_factory=threading.Lock)

    def given(self, sources: Iterable[Source]) -> Iterator[Source | None]:
        """Yield the sources; None while too many bytes wait to be decoded."""
        for source in sources:
            self._count(len(source.data or b""))
            yield source
            while self.waiting > _BYTES_AHEAD:
                yield None

    def _count(self, more: int) -> None:
        with self.counting:
            self.waiting += more

    def prepare(self, source: Source) -> tuple[Finish, UInt8 | None]:
        """Read, decode and cut one file, in whichever thread; the crops are what to encode."""
        data, source = source.data, replace(source, data=None)  # what waits holds no files
        try:
            return self._prepare(source, data)
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            return _already(Failed(source, reason, lasting=False))
        except (ImageError, NoPreviewError) as error:
            return _already(Failed(source, str(error)))
        finally:
            self._count(-len(data or b""))

    def _prepare(self, source: Source, data: bytes | None) -> tuple[Finish, UInt8 | None]:
        path = source.found.path
        try:
            str(path).encode()
        except UnicodeEncodeError:
            reason = "its name is not valid UTF-8: rename it"
            return _already(Failed(source, reason, lasting=False))
        content, sha256 = _read(source.found, data)
        if self.known(sha256):
            return _already(Same(source, sha256))
        if path.suffix.lower() in RAW_SUFFIXES:
            content = read_preview(content)
        header = read_header(content, self.max_pixels)
        size = (header.width, header.height)
        if is_large(*size):
            return lambda _: self._encode_tiles(source, sha256, header, content), None
        preprocessing = self.model.encoder.preprocessing
        shrink = preprocessing.shrink(size, self.proposer.finest(*size))
        with self.room.take(size[0] * size[1]):
            image = decode_image(content, self.max_pixels, shrink)
            if shrink == 1 and image.size != size:  # turned by what stands behind the pixels
                size = image.size
                header = replace(header, width=image.width, height=image.height)
            proposals, crops = self.proposer.propose(Picture(image, size, path), preprocessing)
        pixels = _pixel_hash(size, crops[0])

        def finish(embeddings: Float32 | None) -> Seen:
            assert embeddings is not None
            return self._seen(source, sha256, header, pixels, proposals.complete(embeddings))

        return finish, crops

    def _encode_tiles(
        self, source: Source, sha256: str, header: Header, data: bytes | Path
    ) -> Seen | Failed:
        """Encode a very large image, one at a time."""
        size = (header.width, header.height)
        try:
            with self.room.take(size[0] * size[1]):
                read = open_tiles(data, size, self.max_pixels)
                vectors, pixels = encode_tiles(
                    read, size, self.model.encoder, self.proposer, source.found.path
                )
        except ImageError as error:
            return Failed(source, str(error))
        return self._seen(source, sha256, header, pixels, vectors)

    def _seen(
        self, source: Source, sha256: str, header: Header, pixels: str, vectors: ImageVectors
    ) -> Seen:
        fused = fuse(self.model, vectors, self.vectors)
        return Seen(source, sha256, header, pixels, vectors, fused)


def _already(outcome: Outcome) -> tuple[Finish, None]:
    """Return the outcome of a file of which nothing has to be encoded."""
    return lambda _: outcome, None


def fuse(model: Model, seen: ImageVectors, vectors: int) -> Float32:
    """Return the vectors kept of an image: k, or k for each run of regions of a very large one.

    Regions come tile by tile, so that a run is a part of the image; region 0, the whole image,
    begins each.
    """
    count = len(seen.boxes)
    if count <= _REGIONS:
        return model.fuse(seen, vectors)
    runs = np.array_split(np.arange(1, count), -(-count // _REGIONS))
    rows = [np.concatenate([[0], run]) for run in runs]
    parts = [ImageVectors(seen.boxes[row], seen.embeddings[row]) for row in rows]
    return np.concatenate([model.fuse(part, vectors) for part in parts])


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


def _read(found: Found, data: bytes | None) -> tuple[bytes | Path, str]:
    """Return a file's bytes, or its path where it is large, and the sha256 of them.

    data: the bytes, where they were read already.
    """
    if data is None and found.size > _IN_MEMORY:
        with found.path.open("rb") as file:
            return found.path, hashlib.file_digest(file, "sha256").hexdigest()
    data = found.path.read_bytes() if data is None else data
    return data, hashlib.sha256(data).hexdigest()


def _pixel_hash(size: tuple[int, int], whole: UInt8) -> str:
    """Return what two images have in common whose pixels are the same, and few others.

    size: in pixels; whole: the image as the model sees it (side, side, 3). All the pixels would
    take a core some milliseconds an image: they are compared when somebody asks for duplicates.
    """
    return xxhash.xxh3_128(f"{size[0]}x{size[1]}".encode() + whole.tobytes()).hexdigest()
