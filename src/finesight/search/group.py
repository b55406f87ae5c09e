"""Groups near-duplicates among hits: the best of them stands for all."""

from collections.abc import Sequence
from dataclasses import replace

import lance
import numpy as np

from finesight.scoring.similarity import normalise
from finesight.search.encode import QueryVectors
from finesight.search.ranking import Ranked, search_table
from finesight.store.conditions import quoted
from finesight.store.schema import unpack_whole
from finesight.store.snapshot import Snapshot
from finesight.types import Float32, Hit

SAME = 0.97
"""The cosine of two whole images from which on they count as near-duplicates."""

_FIRST = 3  # hits looked at for every group asked for; doubled until there are groups enough


def search_grouped(
    snapshot: Snapshot,
    query: QueryVectors,
    k: int,
    rank_by: str,
    where: str | None = None,
    offset: int = 0,
    ranked: Ranked | None = None,
) -> list[Hit]:
    """Return k groups behind the first `offset`, as their best hits; arguments as `search_table`.

    A group holds what was found up to the last of the groups, not every copy in the collection.
    """
    wanted = offset + k
    count = _FIRST * wanted
    while True:
        hits = search_table(snapshot, query, count, rank_by, where, ranked=ranked)
        groups = group(hits, _whole(snapshot.dataset, hits))
        if len(groups) >= wanted or len(hits) < count:
            return groups[offset:wanted]
        count *= 2


def group(hits: Sequence[Hit], whole: Float32, same: float = SAME) -> list[Hit]:
    """Return the hits (n,) that no better one nearly equals; those are named as its `similar`.

    whole: (n, d), the whole-image embeddings; ranks are counted anew.
    """
    leaders: list[int] = []
    behind: dict[int, list[int]] = {}
    for i in range(len(hits)):
        cosines = whole[leaders] @ whole[i]
        if len(leaders) and cosines.max() >= same:
            behind[leaders[int(cosines.argmax())]].append(i)
        else:
            leaders.append(i)
            behind[i] = []
    return [
        replace(hits[i], rank=rank, similar=tuple(hits[j].path for j in behind[i]))
        for rank, i in enumerate(leaders, 1)
    ]


def _whole(dataset: lance.LanceDataset, hits: Sequence[Hit]) -> Float32:
    """Return the whole-image embeddings of hits (n, d), in their order."""
    if not hits:
        return np.zeros((0, 1), np.float32)
    ids = ", ".join(quoted(hit.id) for hit in hits)
    rows = dataset.to_table(columns=["id", "whole"], filter=f"id IN ({ids})").combine_chunks()
    place = {id_: i for i, id_ in enumerate(rows["id"].to_pylist())}
    whole = unpack_whole(rows["whole"].combine_chunks())
    return normalise(whole[[place[hit.id] for hit in hits]])
