"""Finds images that are there more than once: the same bytes, the same pixels, or nearly so."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lance
import numpy as np

from finesight.types import Float32

_ROWS = 2048  # compared with all others at a time


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
    table: lance.LanceDataset,
    near: float | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Duplicates]:
    """Return the groups of a table, those of the same bytes first, then pixels, then near ones.

    near: the least cosine, or None to leave them out, as they cost time that grows with the
    square of the number of images. An image that stands in a group for its bytes or pixels is
    compared once.
    """
    rows = table.to_table(columns=["path", "sha256", "pixels"]).to_pydict()
    paths = [Path(path) for path in rows["path"]]
    groups = []
    for kind, keys in (("bytes", rows["sha256"]), ("pixels", rows["pixels"])):
        alike: dict[str, list[int]] = {}
        seen: set[tuple[str, str]] = set()  # of the same pixels, one for each content
        for place, key in enumerate(keys):
            content = (key, rows["sha256"][place])
            if key is not None and (kind == "bytes" or content not in seen):
                alike.setdefault(key, []).append(place)
                seen.add(content)
        groups += [_group(kind, paths, g) for g in alike.values() if len(g) > 1]
    if near is not None:
        firsts: dict[str, int] = {}
        for place, (pixels, digest) in enumerate(zip(rows["pixels"], rows["sha256"], strict=True)):
            firsts.setdefault(pixels or digest, place)
        groups += _near(table, paths, sorted(firsts.values()), near, progress)
    return groups


def _group(
    kind: str, paths: list[Path], places: Sequence[int], similarity: float = 1.0
) -> Duplicates:
    return Duplicates(kind, tuple(sorted(paths[place] for place in places)), similarity)


def _near(
    table: lance.LanceDataset,
    paths: list[Path],
    places: list[int],
    near: float,
    progress: Callable[[int, int], None],
) -> list[Duplicates]:
    whole = table.to_table(columns=["whole"])["whole"].combine_chunks()
    flat = whole.flatten().to_numpy(zero_copy_only=False)
    vectors = flat.reshape(len(whole), -1)[places]
    parent = np.arange(len(places))
    lowest = np.ones(len(places))
    for first, second, cosine in pairs_above(vectors, near, progress):
        a, b = _root(parent, first), _root(parent, second)
        parent[b] = a
        lowest[a] = min(lowest[a], lowest[b], cosine)
    groups: dict[int, list[int]] = {}
    for i in range(len(places)):
        groups.setdefault(_root(parent, i), []).append(places[i])
    return [
        _group("near", paths, members, round(float(lowest[root]), 4))
        for root, members in groups.items()
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


def _root(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i
