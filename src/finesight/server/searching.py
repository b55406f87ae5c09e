"""From a request to `Collection.search` and back: the only place where the server searches."""

import datetime
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from finesight.scoring.calibration import seems_nothing
from finesight.server.collections import ImageRow, Outline, ServedCollection, image_row
from finesight.server.problems import Problem
from finesight.server.schemas import (
    Filters,
    HitAnswer,
    ImageAnswer,
    ImagesAnswer,
    Listing,
    MatchAnswer,
    QueryPart,
    SearchAnswer,
    SearchRequest,
)
from finesight.types import Box, Hit, Part, Query

if TYPE_CHECKING:
    from finesight.collection import Collection

COMPARED = 200
"""Ranks by the whole image that are told apart; further behind is 'beyond'."""

_SHAPES = {
    "landscape": "width > height",
    "portrait": "width < height",
    "square": "width = height",
}


def answer(
    served: ServedCollection, request: SearchRequest, uploads: Sequence[Image.Image]
) -> SearchAnswer:
    """Return the hits of a request; raises Problem for what the collection cannot answer."""
    start = time.perf_counter()
    collection = served.searchable()
    outline = served.outline()
    query = query_of(served, request, uploads)
    where = condition_of(request.filters, outline)
    rank_by = "whole" if request.detail == 0 and _is_graded(request) else request.rank_by
    found = collection.search(
        query,
        request.k + 1,
        rank_by,
        where=where,
        path=request.filters.path,
        offset=request.offset,
        group=request.group,
        detail=request.detail if _is_graded(request) else 1.0,
        item=request.item,
        parts=request.split,
        min_relevance=request.min_relevance,
    )
    hits = found[: request.k]
    compare = request.compare and rank_by != "whole"
    ranks = _whole_ranks(collection, query, request, where) if compare else {}
    for hit in hits:
        served.remember(ImageRow(hit.id, hit.path, hit.width, hit.height))
    return SearchAnswer(
        collection=served.name,
        images=outline.images,
        hits=[_hit(hit, outline, ranks) for hit in hits],
        offset=request.offset,
        more=len(found) > request.k,
        nothing=request.offset == 0 and seems_nothing(found, request.min_relevance),
        milliseconds=round((time.perf_counter() - start) * 1000, 2),
    )


def query_of(
    served: ServedCollection, request: SearchRequest, uploads: Sequence[Image.Image]
) -> Query:
    """Return what a request asks for.

    Text is taken as it is: it is never read as the name of a file. Uploads that no part names are
    parts of their own.
    """
    parts = [] if request.text is None else [Part(text=request.text)]
    parts += [_part(served, part, uploads) for part in request.parts]
    named = any(part.upload is not None for part in request.parts)
    if not named:
        parts += [Part(image=image) for image in uploads]
    if not parts:
        raise Problem(422, "The query is empty: give text, parts, or an image.")
    if not any(part.weight > 0 for part in parts):
        raise Problem(422, "The query only takes away: add what to look for.")
    return Query(tuple(parts))


def condition_of(filters: Filters, outline: Outline) -> str | None:
    """Return filters as a condition in SQL, made of numbers and quoted text alone."""
    bounds = {
        "width >= {}": filters.min_width,
        "height >= {}": filters.min_height,
        "width <= {}": filters.max_width,
        "height <= {}": filters.max_height,
    }
    conditions = [text.format(int(value)) for text, value in bounds.items() if value is not None]
    if filters.shape is not None:
        conditions.append(_SHAPES[filters.shape])
    if filters.folder is not None:
        start = outline.start_of(filters.folder).replace("'", "''")
        conditions.append(f"starts_with(path, '{start}')")
    if filters.taken_from is not None:
        conditions.append(f"taken >= TIMESTAMP '{filters.taken_from}'")
    if filters.taken_to is not None:
        after = datetime.date.fromisoformat(filters.taken_to) + datetime.timedelta(days=1)
        conditions.append(f"taken < TIMESTAMP '{after}'")
    if filters.camera is not None:
        camera = filters.camera.lower().replace("'", "''")
        conditions.append(f"contains(lower(camera), '{camera}')")
    return " AND ".join(conditions) or None


def _is_graded(request: SearchRequest) -> bool:
    return request.rank_by in ("regions", "exact")


def _part(served: ServedCollection, part: QueryPart, uploads: Sequence[Image.Image]) -> Part:
    if part.text is not None:
        return Part(text=part.text, weight=part.weight)
    if part.upload is not None:
        if part.upload >= len(uploads):
            raise Problem(422, f"There is no upload {part.upload}: {len(uploads)} came.")
        return Part(image=uploads[part.upload], box=part.box, weight=part.weight)
    assert part.image is not None
    path = served.image(part.image).path
    if part.box is None:
        return Part(near=path, weight=part.weight)
    return Part(image=path, box=part.box, weight=part.weight)


def _whole_ranks(
    collection: "Collection", query: Query, request: SearchRequest, where: str | None
) -> dict[str, int]:
    """Return the ranks that whole-image search gives, by id, of its first `COMPARED` hits."""
    hits = collection.search(
        query, COMPARED, "whole", where=where, path=request.filters.path, group=request.group
    )
    return {hit.id: hit.rank for hit in hits}


def _hit(hit: Hit, outline: Outline, whole_ranks: dict[str, int]) -> HitAnswer:
    return HitAnswer(
        rank=hit.rank,
        id=hit.id,
        path=outline.shown(hit.path),
        score=round(hit.score, 6),
        box=_rounded(hit.box),
        width=hit.width,
        height=hit.height,
        why=hit.why,
        part=hit.part,
        relevance=_short(hit.relevance),
        matches=[
            MatchAnswer(
                part=match.part,
                weight=match.weight,
                score=round(match.score, 6),
                box=_rounded(match.box),
                relevance=_short(match.relevance),
            )
            for match in hit.matches
        ],
        similar=[outline.shown(path) for path in hit.similar],
        whole_rank=whole_ranks.get(hit.id),
    )


def list_images(served: ServedCollection, listing: Listing) -> ImagesAnswer:
    """Return images that meet the filters, in the table's order."""
    from finesight.queries.filters import Filters as QueryFilters

    if not served.collection().exists:
        return ImagesAnswer(images=[], offset=listing.offset, more=False)
    outline = served.outline()
    table = served.collection().table()
    where = table.condition(
        condition_of(listing, outline), QueryFilters(path=listing.path), lambda: outline.root
    )
    columns = ["id", "path", "width", "height"]
    found = table.read(columns, where, limit=listing.k + 1, offset=listing.offset)
    rows = [image_row(row) for row in found.to_pylist()]
    for row in rows:
        served.remember(row)
    return ImagesAnswer(
        images=[
            ImageAnswer(id=r.id, path=outline.shown(r.path), width=r.width, height=r.height)
            for r in rows[: listing.k]
        ],
        offset=listing.offset,
        more=len(rows) > listing.k,
    )


def _short(relevance: float | None) -> float | None:
    return None if relevance is None else round(relevance, 4)


def _rounded(box: Box) -> Box:
    x0, y0, x1, y1 = (round(edge, 5) for edge in box)
    return x0, y0, x1, y1
