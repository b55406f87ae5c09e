"""The first stage of a search: the images whose pooled vectors come nearest."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from finesight.matching.item_head import ItemHead
from finesight.queries.request import SearchRequest
from finesight.scoring.top_k import top_k
from finesight.search.encode import QueryVectors
from finesight.search.score import score, scorer_for
from finesight.store.snapshot import FLAT, Chosen, Snapshot
from finesight.store.vector_index import FlatVectors

# Images whose regions are scored: at least so many, and so many times the hits asked for.
_CANDIDATES = 100  # what they lose: experiments/candidates.py
_MORE = 10
_VECTORS_PER_IMAGE = 2  # of several that an image has, so many are among the nearest


def candidates(wanted: int) -> int:
    """Return how many images are scored where `wanted` hits are asked for.

    It grows by doubling, so that most pages of one query are cut from the same ranking.
    """
    count = _CANDIDATES
    while count < _MORE * wanted:
        count *= 2
    return count


def retrieve(
    snapshot: Snapshot, request: SearchRequest, query: QueryVectors, count: int, where: str | None
) -> Chosen:
    """Return the images to be scored: all that meet a condition, or about `count` of them.

    Those that come nearest to the query or to one of its descriptions; where the whole image
    counts as well, also those whose whole comes nearest.
    """
    if request.rank_by not in ("regions", "pooled"):
        return where
    near = []
    for each in (query, *query.texts_meant()):
        found = nearest_pooled(snapshot, each, count, where)
        if found is None:
            return where
        near.append(found)
    if request.rank_by == "regions" and request.detail < 1:
        by_global = score(snapshot, where, *scorer_for(replace(request, rank_by="global"), query))
        near.append(by_global.best(snapshot, count).row_ids)
    return np.unique(np.concatenate(near))


def retrieve_items(
    snapshot: Snapshot,
    query: QueryVectors,
    items: QueryVectors,
    count: int,
    where: str | None,
    head: ItemHead,
) -> Chosen:
    """Return about `count` images that may show the very thing of a query of one image.

    items: the query with an item embedding as its `pooled`. Pooled vectors that are few are
    compared as items, which finds many more of the true images (docs/results/item_candidates.txt);
    of many, their index knows the encoder's embeddings alone.
    """
    few = query.pooled is query.vectors and snapshot.has_pooled and snapshot.images > count
    flat = snapshot.flat if few else None
    if flat is None:
        found = nearest_pooled(snapshot, query, count, where)
        return where if found is None else found

    def make() -> FlatVectors:
        return replace(flat, vectors=head(flat.vectors).astype(np.float16))

    return nearest_flat([snapshot.kept(head, make)], items, count, _allowed(snapshot, where))


def nearest_pooled(
    snapshot: Snapshot, query: QueryVectors, count: int, where: str | None
) -> np.ndarray | None:
    """Return the row ids of about `count` images that meet a condition; None to score them all.

    An image is as near as the weighted mean of its parts' best cosines with its pooled vectors.
    Few vectors are scanned in memory. Of many, an index gives the nearest of each wanted part, so
    they may be more than `count`. Where there is no index, or a condition leaves few, they are
    read and scanned.
    """
    if not snapshot.has_pooled or snapshot.images <= count:
        return None
    flat, allowed = snapshot.flat, _allowed(snapshot, where)
    if flat is not None:
        return nearest_flat([flat], query, count, allowed)
    indexed = snapshot.indexed
    share = 1.0 if allowed is None else len(allowed) / snapshot.images
    if indexed is None or share * snapshot.vectors <= FLAT:
        batches = snapshot.batches(["fused"], where)
        return nearest_flat((FlatVectors.of(batch) for batch, _ in batches), query, count)
    vectors = round(vectors_asked(snapshot, count) / share)
    found = []
    for each in query.pooled[query.wanted]:
        rows = indexed.nearest(each, vectors)
        found.append((rows if allowed is None else rows[np.isin(rows, allowed)])[:count])
    if len(indexed.rest.counts):
        found.append(nearest_flat([indexed.rest], query, count, allowed))
    return np.unique(np.concatenate(found))


def vectors_asked(snapshot: Snapshot, count: int) -> int:
    """Return how many vectors an index is asked for, where about `count` images are wanted."""
    return count * (1 if snapshot.vectors == snapshot.images else _VECTORS_PER_IMAGE)


def nearest_flat(
    parts: Iterable[FlatVectors], query: QueryVectors, count: int, allowed: np.ndarray | None = None
) -> np.ndarray:
    """Return the row ids of the nearest of images that come in parts, best first.

    allowed: the row ids of those that count, all where not given.
    """
    scores, rows = np.zeros(0, np.float32), np.zeros(0, np.uint64)
    for part in parts:
        if allowed is not None:
            part = part.only(np.isin(part.row_ids, allowed))
        scores = np.concatenate([scores, query.shares @ part.scores(query.pooled)])
        rows = np.concatenate([rows, part.row_ids])
        best = top_k(scores, count)
        scores, rows = scores[best], rows[best]
    return rows


def _allowed(snapshot: Snapshot, where: str | None) -> np.ndarray | None:
    return None if where is None else snapshot.table.row_ids(where)
