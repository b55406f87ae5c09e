"""Ranks the rows of a table for one query, batch by batch."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from finesight.scoring.conjunctive import together
from finesight.scoring.similarity import (
    cosines,
    max_over_regions,
    mean_over_regions,
    reciprocal_ranks,
)
from finesight.search.calibrate import calibrated, relevances
from finesight.search.encode import QueryVectors
from finesight.search.rerank import Reranking
from finesight.search.retrieve import nearest_by_fused
from finesight.store.schema import unpack_stored, unpack_whole
from finesight.store.snapshot import Snapshot
from finesight.store.text_index import find_words
from finesight.types import WHOLE, Box, Float32, Hit, Match, Why

# Images whose regions are scored: at least so many, and so many times the hits asked for.
_CANDIDATES = 100  # what they lose: experiments/candidates.py
_MORE = 10
_BATCH = 512  # rows scored at a time: what bounds the memory of a search

Chosen = str | np.ndarray | None
"""Images to be scored: those that meet a condition in SQL, those of row ids (n,), or all."""


@dataclass(frozen=True)
class Scored:
    """One image's answer: its score, and each part's cosine and best vector.

    by_words: whether its caption or name brought it further up than what is in it.
    """

    score: float
    path: str
    row_id: int
    cosines: tuple[float, ...]
    regions: tuple[int, ...]
    by_words: bool = False


Ranked = Callable[[Snapshot, QueryVectors, int, str, str | None], list[Scored]]
"""Returns the k best images: arguments snapshot, query, k, rank_by and where."""


def search_table(
    snapshot: Snapshot,
    query: QueryVectors,
    k: int,
    rank_by: str,
    where: str | None = None,
    offset: int = 0,
    ranked: Ranked | None = None,
) -> list[Hit]:
    """Return the k best images for a query behind the first `offset`; ties go by path.

    An image scores by the weighted mean of its cosines with the query's parts. rank_by: one of
    `finesight.scoring.RANKINGS`. All but "regions" and "fused" score every image; these score the
    images whose fused vectors come nearest, several times as many as asked. where: a condition
    in SQL that images must meet. ranked: what ranks, `rank` unless given.
    """
    best = (ranked or rank)(snapshot, query, offset + k, rank_by, where)[offset:]
    return as_hits(snapshot, query, best, offset, rank_by)


def rank(
    snapshot: Snapshot, query: QueryVectors, k: int, rank_by: str, where: str | None = None
) -> list[Scored]:
    """Return the k best images, best first; arguments as `search_table`."""
    wanted = k + len(query.left_out)
    chosen = _chosen(snapshot, query, candidates(wanted), rank_by, where)
    best = best_of(snapshot, query, wanted, rank_by, chosen)
    return [row for row in best if row.path not in query.left_out][:k]


def rank_anew(
    snapshot: Snapshot,
    query: QueryVectors,
    k: int,
    rank_by: str,
    where: str | None = None,
    *,
    ranked: Ranked,
    reranking: Reranking,
) -> list[Scored]:
    """Return the k best as a matcher ranks the best of another ranking, at least its `top`.

    The score is the matcher's; the other arguments are those of `rank`.
    """
    best = ranked(snapshot, query, max(k, reranking.top), rank_by, where)
    scores = reranking.scores(snapshot, [row.row_id for row in best])
    return sorted((replace(row, score=scores[row.row_id]) for row in best), key=_order)[:k]


def rank_with_words(
    snapshot: Snapshot, query: QueryVectors, k: int, rank_by: str, where: str | None = None
) -> list[Scored]:
    """Return the k best by what is in them and by their words; arguments as `search_table`.

    That ranking and the one by captions and file names are merged by their reciprocal ranks, whose
    sum is the score.
    """
    count = candidates(k)
    named = find_words(snapshot.table, query.text, count, where)
    chosen = _chosen(snapshot, query, count, rank_by, where)
    seen = best_of(snapshot, query, count, rank_by, chosen)
    missing = sorted({row_id for row_id, _ in named} - {row.row_id for row in seen})
    seen += best_of(snapshot, query, len(named), rank_by, np.array(missing, np.uint64))
    seen = sorted((row for row in seen if row.path not in query.left_out), key=_order)
    by_content = [row.row_id for row in seen]
    known = set(by_content)
    by_words = [row_id for row_id, _ in named if row_id in known]
    scores = reciprocal_ranks([by_content, by_words])
    places = {row_id: place for place, row_id in enumerate(by_words)}
    merged = [
        replace(row, score=scores[row.row_id], by_words=places.get(row.row_id, place + 1) < place)
        for place, row in enumerate(seen)
    ]
    return sorted(merged, key=_order)[:k]


def _order(row: Scored) -> tuple[float, str]:
    return -row.score, row.path


def _chosen(
    snapshot: Snapshot, query: QueryVectors, count: int, rank_by: str, where: str | None
) -> Chosen:
    """Return the images to be scored: all that meet a condition, or those that come nearest."""
    near = None
    if rank_by in ("regions", "fused"):
        near = nearest_by_fused(snapshot, query, count, where)
    if near is None:
        return where
    if rank_by == "regions" and query.detail < 1:  # fused vectors find regions, not wholes
        wholes = [row.row_id for row in best_of(snapshot, query, count, "whole", where)]
        near = np.union1d(near, np.array(wholes, np.uint64))
    return near


def candidates(wanted: int) -> int:
    """Return how many images are scored where `wanted` hits are asked for.

    It grows by doubling, so that most pages of one query are cut from the same ranking.
    """
    count = _CANDIDATES
    while count < _MORE * wanted:
        count *= 2
    return count


def best_of(
    snapshot: Snapshot, query: QueryVectors, k: int, rank_by: str, chosen: Chosen
) -> list[Scored]:
    """Return the k best of the chosen images, best first."""
    column = {"whole": "whole", "fused": "fused"}.get(rank_by, "regions")
    all_parts = query.together is not None and column == "regions"
    columns = [column, *(["boxes"] if all_parts else [])]
    best: list[Scored] = []
    for batch, row_ids in read_rows(snapshot, columns, chosen):
        if all_parts:
            score, found, regions = _together(batch, query)
        else:
            found, regions = _scores(batch[column], query, rank_by)
            score = query.shares @ found
        few = np.arange(len(score))
        if len(score) > k:  # equals of the last one may come first by their path
            few = np.flatnonzero(score >= np.partition(score, -k)[-k])
        rows = [
            Scored(*each)
            for each in zip(
                score[few].tolist(),
                [facts["path"] for facts in snapshot.facts(row_ids[few])],
                row_ids[few].tolist(),
                map(tuple, found[:, few].T.tolist()),
                map(tuple, regions[:, few].T.tolist()),
                strict=True,
            )
        ]
        best = heapq.nsmallest(k, [*best, *rows], key=_order)
    return best


def read_rows(
    snapshot: Snapshot, columns: Sequence[str], chosen: Chosen
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Yield rows with their row ids, some at a time and never none."""
    if isinstance(chosen, np.ndarray):
        for start in range(0, len(chosen), _BATCH):
            some = chosen[start : start + _BATCH]
            yield snapshot.rows(some, columns).combine_chunks().to_batches()[0], some
        return
    batches = snapshot.dataset.to_batches(
        columns=list(columns), filter=chosen, with_row_id=True, batch_size=_BATCH
    )
    for batch in batches:
        if batch.num_rows:
            yield batch, batch["_rowid"].to_numpy()


def _scores(column: pa.Array, query: QueryVectors, rank_by: str) -> tuple[Float32, np.ndarray]:
    """Return the parts' cosines (m, n) with n images, and the vectors that have them (m, n).

    An image answers a part by the mean of its vectors, or by the best, or, where the part is to be
    compared with wholes, by its first region.
    """
    if pa.types.is_fixed_size_list(column.type):
        found = cosines(query.vectors, unpack_whole(column))
        return found, np.zeros(found.shape, int)
    seen, counts = unpack_stored(column)
    scores, regions = [], []
    asked = query.for_fused if rank_by == "fused" else query.vectors
    for each, whole_alone in zip(cosines(asked, seen), query.whole, strict=True):
        score, region = max_over_regions(each, counts)
        if rank_by == "mean":
            score = mean_over_regions(each, counts)
        elif rank_by != "fused" and (whole_alone or query.detail < 1):
            share = np.float32(0 if whole_alone else query.detail)
            whole = each[np.cumsum(counts) - counts]
            score = share * score + (1 - share) * whole
            region = np.zeros_like(region) if whole_alone else region
        scores.append(score)
        regions.append(region)
    return np.stack(scores), np.stack(regions)


def _together(batch: pa.RecordBatch, query: QueryVectors) -> tuple[Float32, Float32, np.ndarray]:
    """Return how well images (n,) show all parts, the parts' cosines and regions (m, n)."""
    assert query.together is not None
    seen, counts = unpack_stored(batch["regions"])
    boxes, _ = unpack_stored(batch["boxes"])
    found = cosines(query.vectors, seen)
    score, regions = together(found, counts, boxes, query.weights, query.together)
    places = regions + (np.cumsum(counts) - counts)
    return score, np.take_along_axis(found, places, axis=1), regions


def as_hits(
    snapshot: Snapshot,
    query: QueryVectors,
    best: Sequence[Scored],
    offset: int,
    rank_by: str,
) -> list[Hit]:
    """Return scored images as hits, whose ranks begin behind `offset`, with their boxes.

    They are calibrated where the collection has learned to.
    """
    if not best:
        return []
    # The first region is the whole image: where all are, no box has to be read.
    with_boxes = rank_by not in ("whole", "fused") and any(any(row.regions) for row in best)
    calibrator = snapshot.calibrator if any(query.texts) else None
    columns = (["boxes"] if with_boxes else []) + ([] if calibrator is None else ["regions"])
    rows = [row.row_id for row in best]
    seen = snapshot.rows(rows, columns) if columns else pa.table({})
    hits = []
    for place, (found, facts) in enumerate(zip(best, snapshot.facts(rows), strict=True)):
        boxes = [WHOLE] * len(found.regions)
        if with_boxes:
            own = seen["boxes"][place]
            boxes = [_box(own[i].as_py()) if i else WHOLE for i in found.regions]
        matches = tuple(
            Match(*each)
            for each in zip(query.names, query.weights.tolist(), found.cosines, boxes, strict=True)
        )
        first = max(matches, key=lambda match: match.weight * match.score)
        why: Why = "words" if found.by_words else _why(rank_by, first.box)
        hits.append(
            Hit(
                offset + 1 + place,
                found.score,
                Path(found.path),
                first.box,
                facts["id"],
                facts["width"],
                facts["height"],
                why,
                first.part,
                matches,
            )
        )
    if calibrator is None:
        return hits
    return calibrated(hits, relevances(calibrator, query, seen["regions"].combine_chunks()))


def _why(rank_by: str, box: Box) -> Why:
    return "fused" if rank_by == "fused" else "whole" if box == WHOLE else "region"


def _box(edges: Sequence[float]) -> Box:
    x0, y0, x1, y1 = edges
    return x0, y0, x1, y1
