"""Builds hits, each once: an image's facts, boxes and relevance to what people and programs get."""

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
    boxes = _boxes(snapshot, ranking)
    columns = zip(ranking.scores, ranking.cosines.T, ranking.by_words, strict=True)
    hits = []
    for i, (facts, (score, cosines, by_words)) in enumerate(
        zip(snapshot.facts(ranking.row_ids), columns, strict=True)
    ):
        of_parts = [None] * len(boxes[i]) if relevances is None else relevances[:, i].tolist()
        matches = tuple(
            Match(name, weight, cosine, box, _known(relevance))
            for name, weight, cosine, box, relevance in zip(
                query.names,
                query.weights.tolist(),
                cosines.tolist(),
                boxes[i],
                of_parts,
                strict=True,
            )
        )
        first = max(matches, key=lambda match: match.weight * match.score)
        hits.append(
            Hit(
                rank=request.offset + 1 + i,
                score=float(score),
                path=Path(facts["path"]),
                box=first.box,
                id=facts["id"],
                width=facts["width"],
                height=facts["height"],
                why="words" if by_words else _why(request, first.box),
                part=first.part,
                matches=matches,
                similar=tuple(similar[i]),
                relevance=None
                if relevances is None
                else _known(float(relevance_of(query, relevances[:, i : i + 1])[0])),
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


def _known(relevance: float | None) -> float | None:
    return None if relevance is None or np.isnan(relevance) else relevance
