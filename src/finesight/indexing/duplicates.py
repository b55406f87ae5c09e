"""Finds images that are there more than once: the same bytes, the same pixels, or nearly so."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from finesight.errors import InputError
from finesight.images.open import ImageError, decode_image, read_image
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.images.raw import NoPreviewError, read_preview
from finesight.proposals.tiles import is_large
from finesight.scoring.similarity import normalise
from finesight.store.schema import unpack_stored
from finesight.store.table import ImageTable
from finesight.types import Float32

_ROWS = 2048  # compared with all others at a time
_COPIED = 2**20  # pixels, to be hashed


@dataclass(frozen=True)
class Duplicates:
    """Images that are the same, by path.

    kind: "bytes", "pixels" (another file, the same picture) or "near" (of alike embeddings: each
    is near to another one of the group); similarity: the lowest cosine that joined two of them.
    """

    kind: str
    paths: tuple[Path, ...]
    similarity: float = 1.0


def find_duplicates(
    table: ImageTable,
    near: float | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Duplicates]:
    """Return the groups of a table, those of the same bytes first, then pixels, then near ones.

    near: the least cosine, or None to leave them out, as they cost time that grows with the
    square of the number of images. An image that stands in a group for its bytes or pixels is
    compared once. Files that may be the same are read again; one that is gone has no pixels.
    Raises InputError for a cosine out of range.
    """
    if near is not None and not 0 < near <= 1:
        raise InputError(f"near is a cosine above 0 and at most 1, got {near}")
    columns = ["path", "sha256", "pixels", "width", "height"]
    rows = table.read(columns).to_pydict()
    paths = [Path(path) for path in rows["path"]]
    alike = _alike(range(len(paths)), rows["sha256"])
    groups = [_group("bytes", paths, places) for places in alike if len(places) > 1]
    pictures = _same_pixels(rows, paths, [places[0] for places in alike], progress)
    groups += [_group("pixels", paths, places) for places in pictures if len(places) > 1]
    if near is not None:
        firsts = sorted(places[0] for places in pictures)
        groups += _near(table, paths, firsts, near, progress)
    return groups


def _same_pixels(
    rows: dict[str, list[Any]],
    paths: list[Path],
    contents: list[int],
    progress: Callable[[int, int], None],
) -> list[list[int]]:
    """Group the contents, a place each, by their pixels; most groups have one member.

    What seemed the same when it was indexed is decoded again and compared as a whole: small
    things may differ. Very large images were compared as a whole then.
    """
    keys = [pixels or sha256 for pixels, sha256 in zip(rows["pixels"], rows["sha256"], strict=True)]
    alike = _alike(contents, keys)
    unsure = [place for places in alike if len(places) > 1 for place in places]
    for done, place in enumerate(unsure, 1):
        progress(done, len(unsure))
        width, height = rows["width"][place], rows["height"][place]
        if not is_large(width, height):
            keys[place] = _pixel_hash(paths[place], width * height) or rows["sha256"][place]
    return [group for places in alike for group in _alike(places, keys)]


def _alike(places: Iterable[int], keys: Sequence[str]) -> list[list[int]]:
    """Group places by their keys, in the order of their first ones."""
    groups = defaultdict(list)
    for place in places:
        groups[keys[place]].append(place)
    return list(groups.values())


def _pixel_hash(path: Path, most_pixels: int) -> str | None:
    """Return what images of the same pixels have in common; None where it cannot be read now."""
    try:
        if path.suffix.lower() in RAW_SUFFIXES:
            image = decode_image(read_preview(path), most_pixels)
        else:
            image = read_image(path, most_pixels)
    except (ImageError, NoPreviewError):
        return None
    digest = xxhash.xxh3_128(f"{image.width}x{image.height}".encode())
    rows = max(1, _COPIED // image.width)
    for top in range(0, image.height, rows):  # a copy of the whole may be large
        digest.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return digest.hexdigest()


def _group(
    kind: str, paths: list[Path], places: Sequence[int], similarity: float = 1.0
) -> Duplicates:
    return Duplicates(kind, tuple(sorted(paths[place] for place in places)), similarity)


def _near(
    table: ImageTable,
    paths: list[Path],
    places: list[int],
    near: float,
    progress: Callable[[int, int], None],
) -> list[Duplicates]:
    whole, _ = unpack_stored(table.read(["whole"])["whole"])
    # Stored in float16, whose rounding changes their lengths.
    vectors = normalise(whole[places].astype(np.float32))
    groups = [[place] for place in range(len(places))]  # of each; those of a group share one list
    lowest = np.ones(len(places))
    for first, second, cosine in pairs_above(vectors, near, progress):
        large, small = sorted((groups[first], groups[second]), key=len, reverse=True)
        lowest[large[0]] = min(lowest[large[0]], lowest[small[0]], cosine)
        if large is not small:
            large += small
            for place in small:
                groups[place] = large
    return [
        _group("near", paths, [places[i] for i in members], round(float(lowest[members[0]]), 4))
        for members in {id(each): each for each in groups}.values()
        if len(members) > 1
    ]


def pairs_above(
    vectors: np.ndarray,
    least: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[int, int, float]]:
    """Yield (i, j, cosine), i < j, of L2-normalised vectors (n, d) with a cosine of `least` on."""
    count = len(vectors)
    for start in range(0, count, _ROWS):
        block: Float32 = vectors[start : start + _ROWS].astype(np.float32)
        for other in range(start, count, _ROWS):
            cosines = block @ vectors[other : other + _ROWS].astype(np.float32).T
            for i, j in np.argwhere(cosines >= least):
                if start + i < other + j:
                    yield int(start + i), int(other + j), float(cosines[i, j])
        progress(min(start + _ROWS, count), count)
