"""Turns image files into rows: decode and cut in threads, encode in batches, in order."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from finesight.collection.schema import Record
from finesight.collection.walking import Skipped
from finesight.encoders import Encoder
from finesight.images import ImageError, decode_image, image_size
from finesight.looking.crops import encode_cut
from finesight.models import Model
from finesight.regions import parse_regions
from finesight.types import Float32, ImageVectors, UInt8

# Crops encoded in one go: enough to keep every core busy, few enough to stay in the caches.
_CROPS = 512


@dataclass(frozen=True)
class _Prepared:
    """A file that was read. known: the row of identical bytes, else `cut` holds the crops."""

    path: Path
    sha256: str
    size: int
    mtime_ns: int
    known: Record | None = None
    image_size: tuple[int, int] = (0, 0)
    boxes: Float32 | None = None
    cut: UInt8 | None = None


def look_at_files(
    paths: Sequence[Path],
    model: Model,
    regions: str,
    vectors: int,
    known: Callable[[str], Record | None],
) -> Iterator[Record | Skipped]:
    """Yield a record or the reason for skipping for every file, in order.

    vectors: k, how many are kept of each image besides its regions;
    known: gives the record of identical bytes (by sha256) where there is one, which spares
    encoding them. Memory is bounded by the few images that are decoded ahead.
    """
    workers = os.cpu_count() or 1
    scheme = parse_regions(regions)

    def prepare(path: Path) -> _Prepared | Skipped:
        return _prepare(path, model.encoder, scheme, known)

    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[_Prepared | Skipped]] = deque()
        waiting: list[_Prepared | Skipped] = []
        remaining = iter(paths)
        try:
            while True:
                while len(ahead) < 4 * workers and (path := next(remaining, None)) is not None:
                    ahead.append(pool.submit(prepare, path))
                if not ahead:
                    break
                waiting.append(ahead.popleft().result())
                if _crops(waiting) >= _CROPS:
                    yield from _encode(waiting, model, regions, vectors)
                    waiting = []
            yield from _encode(waiting, model, regions, vectors)
        finally:
            for future in ahead:
                future.cancel()


def _prepare(
    path: Path,
    encoder: Encoder,
    scheme: Callable[[int, int], Float32],
    known: Callable[[str], Record | None],
) -> _Prepared | Skipped:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return Skipped(path, "its name is not valid UTF-8: rename it")
    try:
        stat = path.stat()
        data = path.read_bytes()
    except OSError as error:
        return Skipped(path, f"cannot be read: {error.strerror or error}")
    digest = hashlib.sha256(data).hexdigest()
    same = known(digest)
    if same is not None:
        return _Prepared(path, digest, stat.st_size, stat.st_mtime_ns, known=same)
    try:
        size = image_size(data)
        boxes = scheme(*size)
        shrink = encoder.preprocessing.shrink(size, boxes)
        image = decode_image(data, shrink=shrink)
        if shrink == 1 and image.size != size:  # turned by what stands behind the pixels
            size, boxes = image.size, scheme(*image.size)
    except ImageError as error:
        return Skipped(path, str(error))
    cut = encoder.preprocessing.cut(image, boxes)
    return _Prepared(path, digest, stat.st_size, stat.st_mtime_ns, None, size, boxes, cut)


def _crops(waiting: list[_Prepared | Skipped]) -> int:
    return sum(len(p.cut) for p in waiting if isinstance(p, _Prepared) and p.cut is not None)


def _encode(
    waiting: list[_Prepared | Skipped], model: Model, regions: str, vectors: int
) -> Iterator[Record | Skipped]:
    cuts = [p.cut for p in waiting if isinstance(p, _Prepared) and p.cut is not None]
    embeddings = iter(encode_cut(model.encoder, cuts) if cuts else [])
    for item in waiting:
        if isinstance(item, Skipped):
            yield item
        elif item.known is not None:
            same = item.known
            yield Record(
                image_id(item.path),
                item.path,
                item.sha256,
                item.size,
                item.mtime_ns,
                same.width,
                same.height,
                regions,
                same.vectors,
                same.fused,
            )
        else:
            assert item.boxes is not None
            seen = ImageVectors(item.boxes, next(embeddings))
            yield Record(
                image_id(item.path),
                item.path,
                item.sha256,
                item.size,
                item.mtime_ns,
                *item.image_size,
                regions,
                seen,
                model.fuse(seen, vectors),
            )


def image_id(path: Path) -> str:
    """Return the id of a path that is new to a collection."""
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
