"""Ranks the rows of a table for one query vector, batch by batch."""

import heapq
from pathlib import Path

import lance
import numpy as np

from finesight.collection.schema import unpack
from finesight.scoring import max_over_regions, mean_over_regions
from finesight.types import WHOLE, Float32, Hit

# Images whose regions are scored: at least so many, and so many times the hits asked for.
_CANDIDATES = 200
_MORE = 10
_BATCH = 512  # rows scored at a time: what bounds the memory of a search


def search_table(dataset: lance.LanceDataset, query: Float32, k: int, rank_by: str) -> list[Hit]:
    """Return the k best images for a query (d,), best first; ties go by path.

    rank_by: one of `finesight.scoring.RANKINGS`. All but "regions" score every image; "regions"
    scores the regions of those whose fused vectors come nearest, several times as many as asked.
    """
    column = {"whole": "whole", "fused": "fused"}.get(rank_by, "regions")
    rows = None
    if rank_by == "regions":
        count = max(_CANDIDATES, _MORE * k)
        if dataset.count_rows() > count and "fused" in dataset.schema.names:
            rows = [row[2] for row in _best(dataset, query, count, "fused", "max")]
    how = "mean" if rank_by == "mean" else "max"
    return _hits(dataset, _best(dataset, query, k, column, how, rows), boxes=column == "regions")


def _best(
    dataset: lance.LanceDataset,
    query: Float32,
    k: int,
    column: str,
    how: str,
    rows: list[int] | None = None,
) -> list[tuple[float, str, int, int]]:
    """Return score, path, row id and vector of the k best images, among some rows or all.

    how: an image scores by the best ("max") or by the mean of its vectors in the column.
    """
    best: list[tuple[float, str, int, int]] = []
    chosen = None if rows is None else f"_rowid IN ({', '.join(map(str, rows))})"
    batches = dataset.to_batches(
        columns=["path", column], filter=chosen, with_row_id=True, batch_size=_BATCH
    )
    for batch in batches:
        if batch.num_rows == 0:
            continue
        region = np.zeros(batch.num_rows, int)
        if column == "whole":
            flat = batch[column].flatten().to_numpy(zero_copy_only=False)
            score = flat.reshape(batch.num_rows, -1).astype(np.float32) @ query
        else:
            vectors, counts = unpack(batch[column])
            vectors = vectors.astype(np.float32)
            score, region = max_over_regions(query, vectors, counts)
            if how == "mean":
                score = mean_over_regions(query, vectors, counts)
        names, ids = batch["path"].to_pylist(), batch["_rowid"].to_pylist()
        found = zip(score.tolist(), names, ids, region.tolist(), strict=True)
        best = heapq.nsmallest(k, [*best, *found], key=lambda row: (-row[0], row[1]))
    return best


def _hits(
    dataset: lance.LanceDataset, best: list[tuple[float, str, int, int]], boxes: bool
) -> list[Hit]:
    if not best:
        return []
    columns = ["id", "path", "width", "height", "boxes"]
    filter_ = "_rowid IN ({})".format(", ".join(str(row[2]) for row in best))
    rows = {
        row["path"]: row for row in dataset.to_table(columns=columns, filter=filter_).to_pylist()
    }
    hits = []
    for rank, (score, path, _, region) in enumerate(best, 1):
        row = rows[path]
        x0, y0, x1, y1 = row["boxes"][region] if boxes and region else WHOLE
        hits.append(
            Hit(rank, score, Path(path), (x0, y0, x1, y1), row["id"], row["width"], row["height"])
        )
    return hits
