"""Builds hits, each once: an image's facts, boxes and relevance to what people and programs get."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finesight.queries.request import SearchRequest
from finesight.search.calibrate import relevance_of
from finesight.search.encode import QueryVectors
from finesight.search.score import Ranking
from finesight.store.snapshot import Snapshot
from finesight.types import WHOLE, Box, Float32, Hit, Match, Why


def build_hits(
    snapshot: Snapshot,
    request: SearchRequest,
    query: QueryVectors,
    ranking: Ranking,
    relevances: Float32 | None,
    similar: Sequence[Sequence[Path]],
) -> list[Hit]:
    """Return the images of a page as hits, whose ranks begin behind the request's offset.

    relevances: (m, n) of the parts, not a number where it is not known; similar: the
    near-duplicates that stand behind each.
    """
    if relevances is None:
        relevances = np.full(ranking.cosines.shape, np.nan, np.float32)
    columns = zip(
        snapshot.facts(ranking.row_ids),
        ranking.scores.tolist(),
        ranking.cosines.T.tolist(),
        _boxes(snapshot, ranking),
        relevances.T.tolist(),
        relevance_of(query, relevances).tolist(),
        ranking.by_words.tolist(),
        similar,
        strict=True,
    )
    hits = []
    for rank, (facts, score, cosines, boxes, known, relevance, by_words, behind) in enumerate(
        columns, request.offset + 1
    ):
        parts = zip(query.names, query.weights.tolist(), cosines, boxes, known, strict=True)
        matches = tuple(Match(*part[:4], _known(part[4])) for part in parts)
        first = max(matches, key=lambda match: match.weight * match.score)
        hits.append(
            Hit(
                rank=rank,
                score=score,
                path=Path(facts["path"]),
                box=first.box,
                id=facts["id"],
                width=facts["width"],
                height=facts["height"],
                why="words" if by_words else _why(request, first.box),
                part=first.part,
                matches=matches,
                similar=tuple(behind),
                relevance=_known(relevance),
            )
        )
    return hits


def _boxes(snapshot: Snapshot, ranking: Ranking) -> list[list[Box]]:
    """Return the best box of each part of each image; region 0 is the whole image."""
    regions = ranking.regions.T.astype(int).tolist()
    if not ranking.regions.any():  # no box has to be read
        return [[WHOLE] * len(each) for each in regions]
    stored = snapshot.rows(ranking.row_ids, ["boxes"])["boxes"]
    return [
        [_box(stored[i][region].as_py()) if region else WHOLE for region in each]
        for i, each in enumerate(regions)
    ]


def _why(request: SearchRequest, box: Box) -> Why:
    return "pooled" if request.rank_by == "pooled" else "whole" if box == WHOLE else "region"


def _box(edges: Sequence[float]) -> Box:
    x0, y0, x1, y1 = edges
    return x0, y0, x1, y1


def _known(relevance: float) -> float | None:
    return None if math.isnan(relevance) else relevance
