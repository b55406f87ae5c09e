"""Scores images for a query: one matrix of images and query parts, regions read once."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import pyarrow as pa

from finesight.matching.item_head import ItemHead
from finesight.queries.request import SearchRequest
from finesight.scoring.conjunctive import conjunctive_scores
from finesight.scoring.similarity import (
    ITEM_SHARPNESS,
    cosines,
    highest_over_regions,
    max_over_regions,
    mean_over_regions,
    soft_max_over_regions,
)
from finesight.scoring.top_k import top_k
from finesight.search.encode import QueryVectors
from finesight.store.schema import unpack, unpack_stored
from finesight.store.snapshot import Chosen, Snapshot
from finesight.types import Float32

Scores = tuple[Float32, Float32, np.ndarray, Float32]
"""What a scorer says of n images: scores, cosines, regions and descriptions, as in `Ranking`."""

Scorer = Callable[[pa.RecordBatch], Scores]

_COLUMNS = {"global": "whole", "pooled": "fused"}  # of rankings that read no regions


@dataclass(frozen=True)
class Ranking:
    """Images with their scores (n,) for a query.

    cosines, regions: (m, n), each part's best region and its cosine; descriptions: the scores
    (t, n) of texts that say what the query means;
    by_words: whether an image's caption or name brought it further up than what is in it.
    """

    row_ids: np.ndarray
    scores: Float32
    cosines: Float32
    regions: np.ndarray
    descriptions: Float32
    by_words: np.ndarray

    def __len__(self) -> int:
        return len(self.row_ids)

    def take(self, places: np.ndarray) -> "Ranking":
        """Return some images, in the order of their places or where a mask (n,) says so."""
        columns = {each.name: getattr(self, each.name)[..., places] for each in fields(self)}
        return Ranking(**columns)

    def best(self, snapshot: Snapshot, k: int) -> "Ranking":
        """Return the k best, best first; equal ones go by path."""
        return self.take(top_k(self.scores, k, lambda places: snapshot.paths(self.row_ids[places])))


def score(snapshot: Snapshot, chosen: Chosen, columns: list[str], scorer: Scorer) -> Ranking:
    """Return the chosen images with their scores, in no order."""
    rows, found = [], []
    for batch, row_ids in snapshot.batches(columns, chosen):
        rows.append(row_ids)
        found.append(scorer(batch))
    if not rows:
        nothing = np.zeros((1, 0), np.float32)
        return Ranking(
            np.zeros(0, np.uint64), nothing[0], nothing, nothing, nothing, np.zeros(0, bool)
        )
    row_ids = np.concatenate(rows)
    joined = [np.concatenate(each, axis=-1) for each in zip(*found, strict=True)]
    return Ranking(*[row_ids, *joined, np.zeros(len(row_ids), bool)])


def scorer_for(
    request: SearchRequest, query: QueryVectors, item_head: ItemHead | None = None
) -> tuple[list[str], Scorer]:
    """Return the columns that a request's score needs, and what makes it of them.

    item_head: where the very same thing is looked for, of a query whose `pooled` is an item
    embedding.
    """
    if item_head is not None:
        return ["regions"], partial(_item_scores, item=query.pooled[0], head=item_head)
    if query.conjunction is not None and request.by_regions:
        return ["regions", "boxes"], partial(_conjunctive, query=query)
    column = _COLUMNS.get(request.rank_by, "regions")
    return [column], partial(_weighted_mean, request=request, query=query)


def _weighted_mean(batch: pa.RecordBatch, request: SearchRequest, query: QueryVectors) -> Scores:
    """Score images by the weighted mean of their cosines with the query's parts.

    An image answers a part by the mean of its regions, or by the best, or, where the part is to be
    compared with whole images, by its first region.
    """
    if column := _COLUMNS.get(request.rank_by):
        asked = (query.vectors, query.descriptions)
        if request.rank_by == "pooled":
            asked = (query.pooled, query.pooled_descriptions)
        stored, counts = unpack_stored(batch[column])
        found, more = (highest_over_regions(cosines(each, stored), counts) for each in asked)
        return query.shares @ found, found, np.zeros(found.shape, int), more
    regions, counts = unpack_stored(batch["regions"])
    scores, best = [], []
    for each, global_alone in zip(cosines(query.vectors, regions), query.of_global, strict=True):
        part, region = max_over_regions(each, counts)
        if request.rank_by == "mean":
            part = mean_over_regions(each, counts)
        elif global_alone or request.detail < 1:
            share = np.float32(0 if global_alone else request.detail)
            part = share * part + (1 - share) * each[np.cumsum(counts) - counts]
            region = np.zeros_like(region) if global_alone else region
        scores.append(part)
        best.append(region)
    found = np.stack(scores)
    described = cosines(query.descriptions, regions)
    reduce = mean_over_regions if request.rank_by == "mean" else highest_over_regions
    more = reduce(described, counts)
    return query.shares @ found, found, np.stack(best), more


def _conjunctive(batch: pa.RecordBatch, query: QueryVectors) -> Scores:
    """Score images by how well they show all parts, each in a region of its own."""
    assert query.conjunction is not None
    regions, counts = unpack_stored(batch["regions"])
    boxes, _ = unpack_stored(batch["boxes"])
    found = cosines(query.vectors, regions)
    scores, best = conjunctive_scores(found, counts, boxes, query.weights, query.conjunction)
    places = best + (np.cumsum(counts) - counts)
    more = highest_over_regions(cosines(query.descriptions, regions), counts)
    return scores, np.take_along_axis(found, places, axis=1), best, more


def _item_scores(batch: pa.RecordBatch, item: Float32, head: ItemHead) -> Scores:
    """Score images by the soft maximum of their regions' cosines, of item embeddings.

    The cosine is the best region's; the score is a little more.
    """
    regions, counts = unpack(batch["regions"])
    found = head(regions) @ item
    best, region = max_over_regions(found, counts)
    scores = soft_max_over_regions(found, counts, ITEM_SHARPNESS)
    return scores, best[None], region[None], np.zeros((0, len(counts)), np.float32)
