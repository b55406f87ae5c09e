"""The first stage of a search: the images whose fused vectors come nearest."""

import lance
import numpy as np

from finesight.collection.asking import QueryVectors
from finesight.collection.snapshot import Snapshot


def nearest_by_fused(
    snapshot: Snapshot, query: QueryVectors, count: int, where: str | None
) -> np.ndarray | None:
    """Return the row ids of `count` images that meet a condition; None where all have to be asked.

    An image is as near as the weighted mean of its parts' best cosines with its fused vectors.
    """
    if not snapshot.has_fused or snapshot.images <= count:
        return None
    flat = snapshot.flat
    if flat is None:
        return None
    score = query.shares @ flat.scores(query.vectors)
    if where is not None:
        score[~np.isin(flat.row_ids, allowed_rows(snapshot.dataset, where))] = -np.inf
    count = min(count, int(np.isfinite(score).sum()))
    best = np.argpartition(-score, count - 1)[:count] if count else np.zeros(0, int)
    return flat.row_ids[best]


def allowed_rows(dataset: lance.LanceDataset, where: str) -> np.ndarray:
    """Return the row ids of the images that meet a condition."""
    rows = dataset.to_table(columns=[], filter=where, with_row_id=True)
    ids: np.ndarray = rows["_rowid"].to_numpy()
    return ids
