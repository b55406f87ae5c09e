"""How much the short cuts of a search cost, and how to set them: always measured with texts.

Text vectors lie outside of what an index of image vectors was made of: what suits image queries
finds too little for texts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from finesight.errors import InputError
from finesight.queries.everyday import everyday_queries
from finesight.scoring.similarity import cosines, highest_over_regions
from finesight.search.calibrate import keep_calibrated
from finesight.search.encode import QueryVectors
from finesight.search.reader import Reader
from finesight.search.retrieve import candidates, nearest_pooled, vectors_asked
from finesight.store.schema import unpack_stored
from finesight.store.snapshot import Snapshot
from finesight.store.storage import Storage
from finesight.store.upkeep import keep_fast
from finesight.types import Float32

Say = Callable[[str], None]

_K = 10  # recall is of the ten best
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 1.0)
_TEXTS = 200
_MOST = 20 * 2**30  # bytes of regions that are read to measure the recall of the whole search


@dataclass(frozen=True)
class Setting:
    """A number of partitions asked, what is found of the exact ten best, and the median time."""

    asked: int
    recall: float
    milliseconds: float


@dataclass(frozen=True)
class Optimized:
    """What `optimize` did and measured.

    settings: of the index, those tried until the wanted recall was reached; chosen: the last of
    them, None where vectors are few and scanned. recall: of the ten best by their regions, the
    share that the default search finds; None where it was too much to measure.
    """

    images: int
    vectors: int
    queries: int
    settings: tuple[Setting, ...]
    chosen: Setting | None
    recall: float | None


def optimize(
    reader: Reader, texts: Sequence[str] | None, recall: float, say: Say, storage: Storage | None
) -> Optimized:
    """Update a collection's indexes, tune them for texts, and measure what a search finds.

    texts: what to measure with, `some_texts` where not given; recall: the share of the exact ten
    best by their pooled vectors that the index is to find; storage: how regions are kept from now
    on. Raises InputError where there are no images.
    """
    folder = reader.folder
    if folder.manifest is None or not (images := folder.table().count()):
        raise InputError(f"there is nothing to optimize in {folder.directory}: index images")
    with folder.writing():
        if storage is not None and storage != folder.table().storage:
            say(f"keeping the regions of {images:,} images as {storage.kind}")
            folder.table().store_as(storage)
        keep_fast(folder.table(), folder.active.made_of, say)
        folder.table().tidy()
        searched = reader.reopen()
        keep_calibrated(searched.snapshot, reader.model, force=True)
        asked = list(texts or some_texts(searched.snapshot))
        queries = reader.model.encoder.encode_texts(asked)
        pooled = queries if searched.space is None else searched.space.of_texts(queries)
        say(f"measuring with {len(asked)} texts")
        settings, chosen = tune(searched.snapshot, pooled, recall)
        snapshot = reader.reopen().snapshot  # a search asks as many partitions as were chosen
        found = two_stage_recall(snapshot, queries, pooled)
    return Optimized(snapshot.images, snapshot.vectors, len(asked), settings, chosen, found)


def some_texts(snapshot: Snapshot) -> list[str]:
    """Return texts to measure with: the collection's captions, else everyday words."""
    captions: list[str] = []
    if "caption" in snapshot.table.columns:
        rows = snapshot.table.read(["caption"], "caption != ''", limit=10 * _TEXTS)
        captions = list(dict.fromkeys(rows["caption"].to_pylist()))
    return captions[:: max(1, len(captions) // _TEXTS)][:_TEXTS] or everyday_queries(_TEXTS)


def tune(
    snapshot: Snapshot, queries: Float32, wanted: float
) -> tuple[tuple[Setting, ...], Setting | None]:
    """Set how many partitions a search asks: the fewest that find the wanted share, or all.

    queries: texts' vectors (t, d). Returns what was tried, and what was chosen.
    """
    indexed = snapshot.indexed
    if indexed is None:
        return (), None
    exact = exact_best(snapshot, queries, "fused")
    partitions = indexed.partitions
    tried: list[Setting] = []
    count = vectors_asked(snapshot, candidates(_K))
    for asked in sorted({max(1, round(share * partitions)) for share in _SHARES}):
        found, times = [], []
        for query in queries:
            start = time.perf_counter()
            rows = indexed.nearest(query, count, asked)
            times.append(time.perf_counter() - start)
            found.append(np.concatenate([rows, indexed.rest.row_ids]))
        milliseconds = round(1000 * float(np.median(times)), 2)
        tried.append(Setting(asked, recall(found, exact), milliseconds))
        if tried[-1].recall >= wanted:
            break
    indexed.ask(tried[-1].asked)
    return tuple(tried), tried[-1]


def two_stage_recall(snapshot: Snapshot, queries: Float32, pooled: Float32) -> float | None:
    """Return which share of the ten best by their regions is among the candidates of a search.

    pooled: the queries in the space of the pooled vectors, which may be one of its own. Candidates
    are scored exactly, so this is the recall of the whole search. None where the regions are too
    many to read, 1 where all images are candidates.
    """
    if snapshot.images * snapshot.regions_per_image * queries.shape[1] * 2 > _MOST:
        return None
    exact = exact_best(snapshot, queries, "regions")
    found = []
    for query, other in zip(queries, pooled, strict=True):
        near = nearest_pooled(snapshot, QueryVectors.of_text(query, other), candidates(_K), None)
        if near is None:
            return 1.0
        found.append(near)
    return recall(found, exact)


def recall(found: Sequence[np.ndarray], exact: np.ndarray) -> float:
    """Return the mean share of the exact best (t, k) that was found, over the queries."""
    shares = [np.isin(best, rows).mean() for rows, best in zip(found, exact, strict=True)]
    return float(np.mean(shares))


def exact_best(snapshot: Snapshot, queries: Float32, column: str) -> np.ndarray:
    """Return the row ids (t, k) of the ten best images by their best vector of a column.

    All queries (t, d) are answered in one pass over the table.
    """
    scores = np.zeros((len(queries), 0), np.float32)
    rows = np.zeros((len(queries), 0), np.uint64)
    for batch, row_ids in snapshot.batches([column]):
        vectors, counts = unpack_stored(batch[column])
        found = highest_over_regions(cosines(queries, vectors), counts)
        scores = np.concatenate([scores, found], axis=1)
        rows = np.concatenate([rows, np.broadcast_to(row_ids, found.shape)], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :_K]
        scores = np.take_along_axis(scores, best, axis=1)
        rows = np.take_along_axis(rows, best, axis=1)
    return rows
