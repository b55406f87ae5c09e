"""From an HTTP request to a `SearchRequest`, and from its hits to the answer."""

import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from PIL import Image

from finesight.queries import Filters, SearchRequest
from finesight.queries.filters import parse_metadata
from finesight.scoring.calibration import seems_nothing
from finesight.server import schemas
from finesight.server.collections import COLUMNS, ImageRow, ServedCollection
from finesight.server.problems import Problem
from finesight.types import Part

COMPARED = 200
"""Ranks by the whole image that are told apart; further behind is 'beyond'."""


def answer(
    served: ServedCollection, body: schemas.SearchBody, uploads: Sequence[Image.Image]
) -> schemas.SearchAnswer:
    """Return the hits of a search; raises Problem or InputError for what cannot be answered."""
    start = time.perf_counter()
    collection = served.searchable()
    outline = served.outline()
    request = request_of(served, body, uploads)
    found = collection.search(replace(request, k=request.k + 1))
    hits = found[: request.k]
    ranks: dict[str, int] = {}
    if body.compare and request.rank_by != "global":
        whole = SearchRequest(
            request.parts,
            k=COMPARED,
            rank_by="global",
            group=request.group,
            filters=request.filters,
        )
        ranks = {hit.id: hit.rank for hit in collection.search(whole)}
    for hit in hits:
        served.remember(ImageRow(hit.id, str(hit.path), hit.width, hit.height))
    return schemas.SearchAnswer(
        collection=served.name,
        images=outline.images,
        hits=[
            schemas.HitAnswer(**hit.as_dict(outline.shown), whole_rank=ranks.get(hit.id))
            for hit in hits
        ],
        offset=request.offset,
        more=len(found) > request.k,
        nothing=request.offset == 0 and seems_nothing(found, request.min_relevance),
        milliseconds=round((time.perf_counter() - start) * 1000, 2),
    )


def request_of(
    served: ServedCollection, body: schemas.SearchBody, uploads: Sequence[Image.Image]
) -> SearchRequest:
    """Return what an HTTP request asks for.

    Text is taken as it is: it is never read as the name of a file. Uploads that no part names are
    parts of their own.
    """
    parts = [] if body.text is None else [Part(text=body.text)]
    near = [] if body.near is None else [schemas.QueryPart.model_validate({"image": body.near})]
    parts += [_part(served, part, uploads) for part in (*body.parts, *near)]
    if not any(part.upload is not None for part in body.parts):
        parts += [Part(image=image) for image in uploads]
    names = {each.name for each in fields(SearchRequest)} & schemas.SearchBody.model_fields.keys()
    options = {name: getattr(body, name) for name in names}
    filters = Filters(**dict(body.filters))
    request = SearchRequest(**{**options, "parts": parts, "filters": filters})
    # Without any detail regions need not be compared: whole images are, all of them.
    globally = request.by_regions and request.detail == 0
    return replace(request, rank_by="global", detail=1.0) if globally else request


def _part(
    served: ServedCollection, part: schemas.QueryPart, uploads: Sequence[Image.Image]
) -> Part:
    if part.text is not None:
        return Part(text=part.text, weight=part.weight)
    if part.upload is not None:
        if part.upload >= len(uploads):
            raise Problem(422, f"There is no upload {part.upload}: {len(uploads)} came.")
        return Part(image=uploads[part.upload], box=part.box, weight=part.weight)
    assert part.image is not None
    path = Path(served.image(part.image).path)
    if part.box is None:
        return Part(near=path, weight=part.weight)
    return Part(image=path, box=part.box, weight=part.weight)


def list_images(served: ServedCollection, listing: schemas.Listing) -> schemas.ImagesAnswer:
    """Return images that meet the filters, in the table's order."""
    collection = served.collection()
    if not collection.exists:
        return schemas.ImagesAnswer(images=[], offset=listing.offset, more=False)
    outline, table = served.outline(), collection.table()
    given = {name: getattr(listing, name) for name in schemas.FilterBody.model_fields}
    filters = Filters(**given | {"metadata": parse_metadata(listing.metadata)})
    where = table.condition(None, filters, lambda: outline.root)
    found = table.read(COLUMNS, where, limit=listing.k + 1, offset=listing.offset)
    rows = [served.remember(ImageRow(**row)) for row in found.to_pylist()]
    return schemas.ImagesAnswer(
        images=[replace(row, path=outline.shown(row.path)) for row in rows[: listing.k]],
        offset=listing.offset,
        more=len(rows) > listing.k,
    )
