"""The first stage of a search: the images whose fused vectors come nearest."""

import lance
import numpy as np

from finesight.search.encode import QueryVectors
from finesight.store.snapshot import FLAT, FlatVectors, IndexedVectors, Snapshot
from finesight.types import Float32

_VECTORS_AN_IMAGE = 2  # of several that an image has, so many are among the nearest
_BATCH = 4096


def nearest_by_fused(
    snapshot: Snapshot, query: QueryVectors, count: int, where: str | None
) -> np.ndarray | None:
    """Return the row ids of about `count` images that meet a condition; None to ask them all.

    An image is as near as the weighted mean of its parts' best cosines with its fused vectors.
    Few vectors are scanned in memory. Of many, an index gives the nearest of each wanted part, so
    they may be more than `count`. Where there is no index, or a condition leaves few, they are
    read and scanned.
    """
    if not snapshot.has_fused or snapshot.images <= count:
        return None
    allowed = None if where is None else allowed_rows(snapshot.dataset, where)
    flat = snapshot.flat
    if flat is not None:
        return top_of(flat, query, count, allowed)[1]
    indexed = snapshot.indexed
    share = 1.0 if allowed is None else len(allowed) / snapshot.images
    if indexed is None or share * snapshot.vectors <= FLAT:
        return _scan(snapshot.dataset, query, count, where)
    vectors = round(vectors_asked(snapshot, count) / share)
    return _by_index(indexed, query, vectors, count, allowed)


def vectors_asked(snapshot: Snapshot, count: int) -> int:
    """Return how many vectors an index is asked for, where about `count` images are wanted."""
    return count * (1 if snapshot.vectors == snapshot.images else _VECTORS_AN_IMAGE)


def allowed_rows(dataset: lance.LanceDataset, where: str) -> np.ndarray:
    """Return the row ids of the images that meet a condition."""
    rows = dataset.to_table(columns=[], filter=where, with_row_id=True)
    ids: np.ndarray = rows["_rowid"].to_numpy()
    return ids


def top_of(
    flat: FlatVectors, query: QueryVectors, count: int, allowed: np.ndarray | None
) -> tuple[Float32, np.ndarray]:
    """Return scores and row ids of the `count` best, in no order."""
    score, rows = query.shares @ flat.scores(query.for_fused), flat.row_ids
    if allowed is not None:
        may = np.isin(rows, allowed)
        score, rows = score[may], rows[may]
    if len(score) <= count:
        return score, rows
    best = np.argpartition(-score, count - 1)[:count]
    return score[best], rows[best]


def _scan(
    dataset: lance.LanceDataset, query: QueryVectors, count: int, where: str | None
) -> np.ndarray:
    """Return the row ids of the best, reading the vectors batch by batch."""
    scores, rows = np.zeros(0, np.float32), np.zeros(0, np.uint64)
    batches = dataset.to_batches(
        columns=["fused"], filter=where, with_row_id=True, batch_size=_BATCH
    )
    for batch in batches:
        if batch.num_rows == 0:
            continue
        score, row = top_of(FlatVectors.of(batch), query, count, None)
        scores, rows = np.concatenate([scores, score]), np.concatenate([rows, row])
        if len(scores) > count:
            best = np.argpartition(-scores, count - 1)[:count]
            scores, rows = scores[best], rows[best]
    return rows


def _by_index(
    indexed: IndexedVectors,
    query: QueryVectors,
    vectors: int,
    count: int,
    allowed: np.ndarray | None,
) -> np.ndarray:
    """Return the row ids of what comes nearest to the wanted parts, in the index and beside it."""
    wanted = query.for_fused[query.weights > 0]
    parts = [indexed.nearest(each, vectors) for each in wanted]
    if allowed is not None:
        parts = [part[np.isin(part, allowed)] for part in parts]
    found = np.concatenate([part[:count] for part in parts])
    if len(indexed.rest.counts):
        found = np.concatenate([found, top_of(indexed.rest, query, count, allowed)[1]])
    return np.unique(found)
