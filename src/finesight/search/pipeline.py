"""A search from request to hits: encode, retrieve, score, rerank, calibrate, group, page."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from finesight.errors import InputError
from finesight.models import Model
from finesight.queries.request import SearchRequest
from finesight.search.calibrate import relevance_of, relevances
from finesight.search.encode import PooledSpace, QueryVectors, encode_request
from finesight.search.expand import with_descriptions, with_words
from finesight.search.group import group
from finesight.search.hits import build_hits
from finesight.search.rerank import rerank
from finesight.search.retrieve import candidates, retrieve, retrieve_items
from finesight.search.score import Ranking, score, scorer_for
from finesight.store.snapshot import Snapshot
from finesight.store.text_index import find_words
from finesight.types import Hit

# So many times the hits asked for are ranked at first where some may be left out or stand behind
# others; doubled until there are enough.
_GROUPED = 3
_RELEVANT = 2


@dataclass(frozen=True)
class Searchable:
    """A collection as a search meets it.

    directory: for messages; model: gives the model when it is needed; regions: the name of the
    images' region proposals; space: of the pooled vectors, where it is not the encoder's.
    """

    directory: Path
    snapshot: Snapshot
    model: Callable[[], Model]
    regions: str
    space: PooledSpace | None = None


def search(searched: Searchable, request: SearchRequest) -> list[Hit]:
    """Return the hits of a request; raises InputError for what this collection cannot answer."""
    _check(searched, request)
    query = encode_request(request, searched.snapshot, searched.model, searched.space)
    return answer(searched, request, query)


def answer(searched: Searchable, request: SearchRequest, query: QueryVectors) -> list[Hit]:
    """Return the hits of a request whose parts are encoded already."""
    snapshot = searched.snapshot
    where = snapshot.condition(request.where, request.filters)
    wanted = request.offset + request.k
    depth = wanted * (_GROUPED if request.group else 1)
    depth *= _RELEVANT if request.min_relevance else 1
    while True:
        ranking = rank(searched, request, query, depth, where)
        groups = _groups(snapshot, request, query, ranking)
        late = bool(groups) and groups[-1][0] >= depth // 2
        nothing_more = len(ranking) < depth or (request.min_relevance > 0 and not late)
        if len(groups) >= wanted or nothing_more:
            break
        depth *= 2
    groups = groups[request.offset : wanted]
    page = ranking.take(np.array([each[0] for each in groups], int))
    similar = [ranking.row_ids[each[1:]] for each in groups]
    return build_hits(snapshot, request, query, page, similar)


def _groups(
    snapshot: Snapshot, request: SearchRequest, query: QueryVectors, ranking: Ranking
) -> list[list[int]]:
    """Return the places of a ranking by hits: its best image, then what stands behind it.

    What is not relevant enough is left out.
    """
    groups = [[place] for place in range(len(ranking))]
    if request.group:
        groups = group(snapshot.whole(ranking.row_ids))
    if request.min_relevance:
        best = ranking.row_ids[[each[0] for each in groups]]
        relevance = relevance_of(query, relevances(snapshot, query, best))
        groups = [groups[i] for i in np.flatnonzero(relevance >= request.min_relevance)]
    return groups


def rank(
    searched: Searchable, request: SearchRequest, query: QueryVectors, k: int, where: str | None
) -> Ranking:
    """Return the k best images, best first; ties go by path."""
    snapshot = searched.snapshot
    deep = max(k, request.rerank_top) if request.rerank else k
    count = candidates(deep + len(query.left_out))
    head = None
    if request.item:
        head = searched.model().need_item_head()
        items = replace(query, pooled=head(query.vectors))
        by_regions = request.rank_by == "regions"
        chosen = retrieve_items(snapshot, query, items, count, where, head) if by_regions else where
        query = items
    else:
        chosen = retrieve(snapshot, request, query, count, where)
    named = np.zeros(0, np.uint64)
    if request.words:
        text = " ".join(part.text for part in request.parts if part.text and part.weight > 0)
        named = find_words(snapshot.table, text, count, where)
        chosen = np.union1d(chosen, named) if isinstance(chosen, np.ndarray) else chosen
    ranking = score(snapshot, chosen, *scorer_for(request, query, head))
    if len(query.left_out):
        ranking = ranking.take(~np.isin(ranking.row_ids, query.left_out))
    if request.words:
        ranking = with_words(snapshot, ranking, named, count)
    if request.descriptions:
        ranking = with_descriptions(snapshot, request, query, ranking, deep)
    ranking = ranking.best(snapshot, deep)
    if request.rerank:
        matcher = searched.model().matcher(request.rerank)
        assert request.text is not None
        ranking = rerank(snapshot, ranking, matcher, request.text).best(snapshot, k)
    return ranking


def _check(searched: Searchable, request: SearchRequest) -> None:
    """Raise InputError for what this collection or its model does not have."""
    directory, snapshot = searched.directory, searched.snapshot
    if request.rank_by == "pooled" and not snapshot.has_pooled:
        raise InputError(
            f"{directory} keeps no pooled vectors yet: index its images again, which adds them "
            "without encoding"
        )
    if request.min_relevance > 0 and snapshot.calibrator is None:
        raise InputError(
            f"{directory} has not learned yet how relevant hits are: run `finesight optimize "
            f"--collection {directory}`, or index an image"
        )
    if request.rerank:
        model = searched.model()
        model.matcher(request.rerank)
        trained = model.matchers[request.rerank].regions
        if trained != searched.regions:
            warnings.warn(
                f"the matcher {request.rerank} was trained on regions of {trained}, and the images "
                f"have regions of {searched.regions}: it ranks worse than it could",
                stacklevel=4,
            )
