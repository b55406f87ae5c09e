"""Builds hits, each once: an image's facts, boxes and relevance to what people and programs get."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from finesight.queries.request import SearchRequest
from finesight.search.calibrate import relevance_of, relevances_of
from finesight.search.encode import QueryVectors
from finesight.search.score import Ranking
from finesight.store.snapshot import Snapshot
from finesight.types import WHOLE, Box, Hit, Match, Why


def build_hits(
    snapshot: Snapshot,
    request: SearchRequest,
    query: QueryVectors,
    ranking: Ranking,
    similar: Sequence[np.ndarray],
) -> list[Hit]:
    """Return the images of a page as hits, whose ranks begin behind the request's offset.

    Texts have a relevance once the collection has learned it. similar: the row ids of
    the near-duplicates that stand behind each.
    """
    if not len(ranking):
        return []
    judged = snapshot.calibrator is not None and any(query.texts)
    # Region 0 is the whole image: where all are, no box has to be read.
    with_boxes = bool(ranking.regions.any())
    columns = ["boxes"] * with_boxes + ["regions"] * judged
    rows = snapshot.rows(ranking.row_ids, columns).combine_chunks() if columns else pa.table({})
    relevances = np.full(ranking.cosines.shape, np.nan, np.float32)
    if judged:
        relevances = relevances_of(snapshot, query, rows["regions"].combine_chunks())
    images = zip(
        snapshot.facts(ranking.row_ids),
        ranking.scores.tolist(),
        ranking.cosines.T.tolist(),
        _boxes(ranking, rows["boxes"] if with_boxes else None),
        relevances.T.tolist(),
        relevance_of(query, relevances).tolist(),
        ranking.by_words.tolist(),
        similar,
        strict=True,
    )
    whole: Why = "pooled" if request.rank_by == "pooled" else "whole"
    hits = []
    for rank, (facts, score, cosines, boxes, known, relevance, by_words, behind) in enumerate(
        images, request.offset + 1
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
                why="words" if by_words else "region" if first.box != WHOLE else whole,
                part=first.part,
                matches=matches,
                similar=tuple(map(Path, snapshot.paths(behind))) if len(behind) else (),
                relevance=_known(relevance),
            )
        )
    return hits


def _boxes(ranking: Ranking, stored: pa.ChunkedArray | None) -> list[list[Box]]:
    """Return the best box of each part of each image, of its stored boxes."""
    places = ranking.regions.T.astype(int).tolist()
    if stored is None:
        return [[WHOLE] * len(each) for each in places]
    return [
        [tuple(boxes[region].as_py()) if region else WHOLE for region in each]
        for boxes, each in zip(stored, places, strict=True)
    ]


def _known(relevance: float) -> float | None:
    return None if math.isnan(relevance) else relevance
