"""Finds the very thing that a photo shows, not its kind: candidates first, then item embeddings.

The images whose fused vectors come nearest to the query's region are candidates. Of these, each
stored region goes through the model's item head, and an image scores by the best cosine of its
regions with the query there (local re-scoring: global vectors alone see whole photos).
"""

import heapq
from collections.abc import Iterator

import pyarrow as pa

from finesight.collection.asking import QueryVectors
from finesight.collection.candidates import nearest_by_fused
from finesight.collection.schema import rows_condition, unpack
from finesight.collection.search import Scored
from finesight.collection.snapshot import Snapshot
from finesight.encoders.item_head import ItemHead
from finesight.errors import InputError
from finesight.scoring import max_over_regions
from finesight.types import Query

CANDIDATES = 200
"""Images whose regions are compared, at least; and so many times the hits asked for:"""

_MORE = 10
_BATCH = 512  # images whose regions go through the head at a time: what bounds the memory


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
    "exact" to compare the regions of all images. Score and cosine are those of item embeddings.
    """
    wanted = k + len(query.left_out)
    near = None
    if rank_by == "regions":
        near = nearest_by_fused(snapshot, query, _candidates(wanted), where)
    item = head(query.vectors)[0]
    best: list[Scored] = []
    for batch in _batches(snapshot, where if near is None else rows_condition(near)):
        regions, counts = unpack(batch["regions"])
        scores, which = max_over_regions(head(regions) @ item, counts)
        rows = zip(
            scores.tolist(),
            batch["path"].to_pylist(),
            batch["_rowid"].to_pylist(),
            which.tolist(),
            strict=True,
        )
        found = [Scored(score, path, id_, (score,), (i,)) for score, path, id_, i in rows]
        best = heapq.nsmallest(wanted, [*best, *found], key=lambda row: (-row.score, row.path))
    return [row for row in best if row.path not in query.left_out][:k]


def _candidates(wanted: int) -> int:
    """Return how many images are compared; it doubles, so that pages are of one ranking."""
    count = CANDIDATES
    while count < _MORE * wanted:
        count *= 2
    return count


def _batches(snapshot: Snapshot, where: str | None) -> Iterator[pa.RecordBatch]:
    batches = snapshot.dataset.to_batches(
        columns=["path", "regions"], filter=where, with_row_id=True, batch_size=_BATCH
    )
    return (batch for batch in batches if batch.num_rows)
