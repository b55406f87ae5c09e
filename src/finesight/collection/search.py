"""Ranks the rows of a table for one query vector, batch by batch."""

import heapq
from pathlib import Path

import lance
import numpy as np

from finesight.collection.schema import unpack
from finesight.scoring import max_over_regions, mean_over_regions
from finesight.types import WHOLE, Float32, Hit

_BATCH = 512  # rows scored at a time: what bounds the memory of a search


def search_table(dataset: lance.LanceDataset, query: Float32, k: int, rank_by: str) -> list[Hit]:
    """Return the k best images for a query (d,), exactly, best first; ties go by path.

    rank_by: "regions", "whole" or "mean" (`finesight.scoring.RANKINGS`).
    """
    vectors = "whole" if rank_by == "whole" else "regions"
    best: list[tuple[float, str, int, int]] = []  # score, path, row id, region
    for batch in dataset.to_batches(columns=["path", vectors], with_row_id=True, batch_size=_BATCH):
        if batch.num_rows == 0:
            continue
        region = np.zeros(batch.num_rows, int)
        if rank_by == "whole":
            flat = batch[vectors].flatten().to_numpy(zero_copy_only=False)
            score = flat.reshape(batch.num_rows, -1).astype(np.float32) @ query
        else:
            rows, counts = unpack(batch[vectors])
            rows = rows.astype(np.float32)
            score, region = max_over_regions(query, rows, counts)
            if rank_by == "mean":
                score = mean_over_regions(query, rows, counts)
        names, ids = batch["path"].to_pylist(), batch["_rowid"].to_pylist()
        rows_here = zip(score.tolist(), names, ids, region.tolist(), strict=True)
        best = heapq.nsmallest(k, [*best, *rows_here], key=lambda row: (-row[0], row[1]))
    return _hits(dataset, best)


def _hits(dataset: lance.LanceDataset, best: list[tuple[float, str, int, int]]) -> list[Hit]:
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
        x0, y0, x1, y1 = row["boxes"][region] if region else WHOLE
        hits.append(
            Hit(rank, score, Path(path), (x0, y0, x1, y1), row["id"], row["width"], row["height"])
        )
    return hits
