"""Finds the very thing that a photo shows, not its kind: candidates first, then item embeddings.

The images whose fused vectors come nearest to the query are candidates. Of these, each
stored region goes through the model's item head, and an image scores by the soft maximum of its
regions' cosines with the query there (local re-scoring: global vectors alone see whole photos).
"""

import heapq
from dataclasses import replace

import numpy as np

from finesight.errors import InputError
from finesight.matching.item_head import ItemHead
from finesight.scoring.similarity import ITEM_SHARPNESS, max_over_regions, soft_max_over_regions
from finesight.search.encode import QueryVectors
from finesight.search.ranking import Chosen, Scored, candidates, read_rows
from finesight.search.retrieve import allowed_rows, nearest_by_fused, top_of
from finesight.store.schema import unpack
from finesight.store.snapshot import FlatVectors, Snapshot
from finesight.types import Query


def check_item_query(query: Query, rank_by: str, others: dict[str, bool]) -> None:
    """Raise InputError for a query that does not show one thing, or is to be ranked otherwise.

    others: what else was asked for, by the name of its option.
    """
    part = query.parts[0]
    if len(query.parts) != 1 or part.text is not None or part.weight < 0:
        raise InputError(
            "to find the very same thing, give one photo of it: photo.jpg, or a box of it such as "
            "photo.jpg@0.2,0.1,0.5,0.6; texts and further parts search without --item"
        )
    if rank_by not in ("regions", "exact"):
        raise InputError(
            f"the very same thing is found by regions (or exact, of all images), not by {rank_by!r}"
        )
    for name, given in others.items():
        if given:
            raise InputError(f"{name} is for texts, and this looks for one thing: leave it out")


def rank_items(
    snapshot: Snapshot,
    query: QueryVectors,
    k: int,
    rank_by: str,
    where: str | None = None,
    *,
    head: ItemHead,
) -> list[Scored]:
    """Return the k images that show the query's thing most likely, best first; ties go by path.

    The arguments are those of `search.rank`, of a query of one image; rank_by: "regions", or
    "exact" to compare the regions of all images. The cosine is the best region's, of item
    embeddings; the score is the soft maximum over regions, a little more.
    """
    wanted = k + len(query.left_out)
    item, count = head(query.vectors)[0], candidates(wanted)
    chosen: Chosen = where
    if rank_by == "regions":
        near = _nearest(snapshot, replace(query, vectors=item[None]), query, count, where, head)
        chosen = where if near is None else near
    best: list[Scored] = []
    for batch, row_ids in read_rows(snapshot, ["regions"], chosen):
        regions, counts = unpack(batch["regions"])
        found = head(regions) @ item
        cosines, which = max_over_regions(found, counts)
        scores = soft_max_over_regions(found, counts, ITEM_SHARPNESS)
        few = np.arange(len(scores))
        if len(scores) > wanted:  # equals of the last one may come first by their path
            few = np.flatnonzero(scores >= np.partition(scores, -wanted)[-wanted])
        paths = [facts["path"] for facts in snapshot.facts(row_ids[few])]
        columns = [each[few].tolist() for each in (scores, row_ids, cosines, which)]
        rows = [
            Scored(score, path, row_id, (cosine,), (region,))
            for path, score, row_id, cosine, region in zip(paths, *columns, strict=True)
        ]
        best = heapq.nsmallest(wanted, [*best, *rows], key=lambda row: (-row.score, row.path))
    return [row for row in best if row.path not in query.left_out][:k]


def _nearest(
    snapshot: Snapshot,
    items: QueryVectors,
    query: QueryVectors,
    count: int,
    where: str | None,
    head: ItemHead,
) -> np.ndarray | None:
    """Return the row ids of about `count` candidates; None to take all.

    items: the query as an item embedding. Fused vectors that are few are compared as items, which
    finds many more of the true images (docs/results/item_candidates.txt); of many, their index
    knows the encoder's embeddings alone.
    """
    few = query.fused is None and snapshot.has_fused and snapshot.images > count
    flat = snapshot.flat if few else None
    if flat is None:
        return nearest_by_fused(snapshot, query, count, where)

    def make() -> FlatVectors:
        return replace(flat, vectors=head(flat.vectors).astype(np.float16))

    allowed = None if where is None else allowed_rows(snapshot.dataset, where)
    return top_of(snapshot.kept(head, make), items, count, allowed)[1]
