"""Ranks the rows of a table for one query, batch by batch."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from finesight.collection.asking import QueryVectors
from finesight.collection.schema import unpack, unpack_whole
from finesight.scoring import max_over_regions, mean_over_regions
from finesight.types import WHOLE, Box, Float32, Hit, Match, Why

# Images whose regions are scored: at least so many, and so many times the hits asked for.
_CANDIDATES = 200
_MORE = 10
_BATCH = 512  # rows scored at a time: what bounds the memory of a search


@dataclass(frozen=True)
class _Row:
    """One image's answer: its score, and each part's cosine and best vector."""

    score: float
    path: str
    row_id: int
    cosines: tuple[float, ...]
    regions: tuple[int, ...]


def search_table(
    dataset: lance.LanceDataset,
    query: QueryVectors,
    k: int,
    rank_by: str,
    where: str | None = None,
    offset: int = 0,
) -> list[Hit]:
    """Return the k best images for a query behind the first `offset`; ties go by path.

    An image scores by the weighted mean of its cosines with the query's parts. rank_by: one of
    `finesight.scoring.RANKINGS`. All but "regions" score every image; "regions" scores the regions
    of those whose fused vectors come nearest, several times as many as asked. where: a condition
    in SQL that images must meet.
    """
    column = {"whole": "whole", "fused": "fused"}.get(rank_by, "regions")
    if rank_by == "regions" and "fused" in dataset.schema.names:
        count = candidates(offset + k)
        if dataset.count_rows() > count:
            found = {row.row_id for row in _best(dataset, query, count, "fused", "fused", where)}
            if query.detail < 1:  # fused vectors were made to find regions, not wholes
                wholes = _best(dataset, query, count, "whole", "whole", where)
                found |= {row.row_id for row in wholes}
            where = _is_one_of(found)
    how = rank_by if rank_by in ("mean", "fused") else "regions"
    best = _best(dataset, query, offset + k, column, how, where)[offset:]
    return _hits(dataset, query, best, offset, column)


def candidates(wanted: int) -> int:
    """Return how many images have their regions scored where `wanted` hits are asked for.

    It grows by doubling, so that most pages of one query are cut from the same ranking.
    """
    count = _CANDIDATES
    while count < _MORE * wanted:
        count *= 2
    return count


def _best(
    dataset: lance.LanceDataset,
    query: QueryVectors,
    k: int,
    column: str,
    how: str,
    where: str | None,
) -> list[_Row]:
    """Return the k best of the images that meet a condition, best first.

    how: an image answers a part by the best of its vectors in the column ("fused"), by their mean
    ("mean"), or by the best or the first, whichever the part is compared with ("regions").
    """
    best: list[_Row] = []
    batches = dataset.to_batches(
        columns=["path", column], filter=where, with_row_id=True, batch_size=_BATCH
    )
    for batch in batches:
        if batch.num_rows == 0:
            continue
        cosines, regions = _scores(batch[column], query, how)
        score = query.shares @ cosines
        few = np.argpartition(-score, k - 1)[:k] if len(score) > k else np.arange(len(score))
        if len(few) < len(score):  # equals of the last one may be first by their path
            few = np.flatnonzero(score >= score[few].min())
        names, ids = batch["path"].take(few).to_pylist(), batch["_rowid"].take(few).to_pylist()
        found = [
            _Row(float(score[i]), name, id_, (*cosines[:, i].tolist(),), (*regions[:, i].tolist(),))
            for i, name, id_ in zip(few.tolist(), names, ids, strict=True)
        ]
        best = heapq.nsmallest(k, [*best, *found], key=lambda row: (-row.score, row.path))
    return best


def _scores(column: pa.Array, query: QueryVectors, how: str) -> tuple[Float32, np.ndarray]:
    """Return the parts' cosines (m, n) with n images, and the vectors that have them (m, n)."""
    if pa.types.is_fixed_size_list(column.type):
        whole = unpack_whole(column).astype(np.float32)
        return query.vectors @ whole.T, np.zeros((len(query.vectors), len(whole)), int)
    seen, counts = unpack(column)
    seen = seen.astype(np.float32)
    cosines, regions = [], []
    for vector, whole_alone in zip(query.vectors, query.whole, strict=True):
        score, region = max_over_regions(vector, seen, counts)
        if how == "regions" and (whole_alone or query.detail < 1):
            whole = seen[np.cumsum(counts) - counts] @ vector
            share = 0.0 if whole_alone else query.detail
            score = np.float32(share) * score + np.float32(1 - share) * whole
            region = np.zeros_like(region) if whole_alone else region
        elif how == "mean":
            score = mean_over_regions(vector, seen, counts)
        cosines.append(score)
        regions.append(region)
    return np.stack(cosines), np.stack(regions)


def _is_one_of(row_ids: Iterable[int]) -> str:
    return f"_rowid IN ({', '.join(map(str, row_ids))})"


def _hits(
    dataset: lance.LanceDataset,
    query: QueryVectors,
    best: list[_Row],
    offset: int,
    column: str,
) -> list[Hit]:
    if not best:
        return []
    columns = ["id", "path", "width", "height", *(["boxes"] if column == "regions" else [])]
    table = dataset.to_table(columns=columns, filter=_is_one_of([row.row_id for row in best]))
    rows = {row["path"]: row for row in table.to_pylist()}
    hits = []
    for rank, found in enumerate(best, offset + 1):
        row = rows[found.path]
        boxes = [_box(row["boxes"][i]) if i and "boxes" in row else WHOLE for i in found.regions]
        matches = tuple(
            Match(name, weight, cosine, box)
            for name, weight, cosine, box in zip(
                query.names, query.weights.tolist(), found.cosines, boxes, strict=True
            )
        )
        first = max(matches, key=lambda match: match.weight * match.score)
        why: Why = "fused" if column == "fused" else "whole" if first.box == WHOLE else "region"
        hits.append(
            Hit(
                rank,
                found.score,
                Path(found.path),
                first.box,
                row["id"],
                row["width"],
                row["height"],
                why,
                first.part,
                matches,
            )
        )
    return hits


def _box(edges: Sequence[float]) -> Box:
    x0, y0, x1, y1 = edges
    return x0, y0, x1, y1
