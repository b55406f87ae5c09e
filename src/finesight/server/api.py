"""The HTTP API: what is asked for, from which collection, and what is answered."""

import re
from pathlib import Path
from typing import Annotated, Any

import fastapi
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from PIL import Image
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.datastructures import UploadFile

from finesight.images.open import ImageError, decode_image
from finesight.indexing.progress import read_progress
from finesight.server import schemas
from finesight.server.collections import ServedCollection
from finesight.server.problems import Problem, refusals
from finesight.server.searching import answer, list_images
from finesight.server.sessions import DAYS
from finesight.server.state import State
from finesight.server.thumbnails import LARGEST, Wanted, stamp_of
from finesight.types import WHOLE, Box

router = APIRouter()

_NUMBER = r"(?:[01]|[01]?\.[0-9]{1,9})"
_BOX = re.compile(rf"^{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}$")

_UPLOAD_SIDE = 3072  # pixels of an uploaded image that are kept; a box of it is cut from these


def _state_of(request: Request) -> State:
    return request.app.state.finesight


Shared = Annotated[State, Depends(_state_of)]


async def _served(
    state: Shared,
    collection: Annotated[
        schemas.Name | None, Query(description="One of /collections; else the first.")
    ] = None,
) -> ServedCollection:
    return state.collections.get(collection)


Served = Annotated[ServedCollection, Depends(_served)]


@router.post(
    "/search",
    response_model=schemas.SearchAnswer,
    responses=refusals(404, 415),
    openapi_extra={"requestBody": schemas.SEARCH_BODY},
)
async def search(request: Request, state: Shared) -> Response:
    """Find images by texts and images, best first, each with its best region.

    Send JSON; or multipart/form-data with up to 8 files named `image`, and the JSON in the field
    `query`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = schemas.SearchBody.model_validate_json(await request.body())
        files: list[bytes] = []
    elif kind == "multipart/form-data":
        body, files = await _form(request)
    else:
        raise Problem(415, "Send application/json, or multipart/form-data with an image.")
    served = state.collections.get(body.collection)
    pixels = state.settings.limits.upload_pixels

    def work() -> bytes:  # written in the thread, and not checked a second time
        return answer(served, body, _decoded(files, pixels)).model_dump_json().encode()

    return Response(await state.search_workers.run(work), media_type="application/json")


@router.get("/images", responses=refusals(404))
async def images(
    state: Shared, listing: Annotated[schemas.Listing, Query()]
) -> schemas.ImagesAnswer:
    """List images without searching, in the collection's order."""
    served = state.collections.get(listing.collection)
    return await state.search_workers.run(lambda: list_images(served, listing))


@router.get(
    "/images/{id}",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}},
        304: {"description": "Not changed."},
        **refusals(404),
    },
)
async def image(
    request: Request,
    state: Shared,
    served: Served,
    id: Annotated[str, fastapi.Path(pattern="^[0-9a-f]{16}$")],
    size: Annotated[
        int, Query(ge=16, le=LARGEST, description="Of the longer side, at most.")
    ] = 640,
    box: Annotated[
        str | None,
        Query(
            description="The part to cut out: x0,y0,x1,y1, each in 0..1.",
            json_schema_extra={"pattern": _BOX.pattern},
        ),
    ] = None,
) -> Response:
    """Return an image or a part of it as JPEG, made small; it is never made larger."""
    part = WHOLE if box is None else _box(box)
    known = request.headers.get("if-none-match")

    def make() -> Response:
        path = Path(served.image(id).path)
        try:
            stamp = stamp_of(path)
            tag = f'"{stamp}-{size}-{box or ""}"'
            headers = {"ETag": tag, "Cache-Control": "private, max-age=300"}
            if known is not None and tag in re.split(r"\s*,\s*", known):
                return Response(status_code=304, headers=headers)
            content = state.thumbnails.get(Wanted(path, stamp, size, part))
        except ImageError as error:
            raise Problem(404, f"The image cannot be shown: {error}.") from error
        return Response(content, media_type="image/jpeg", headers=headers)

    return await state.thumbnail_workers.run(make)


@router.get("/collections")
async def collections(state: Shared) -> list[schemas.CollectionAnswer]:
    """List the collections that can be searched."""
    return await state.search_workers.run(
        lambda: [_described(served) for served in state.collections]
    )


@router.get("/status", responses=refusals(404))
async def status(state: Shared, served: Served) -> schemas.StatusAnswer:
    """Say what a collection holds, and how far indexing has come where it is going on."""
    return await state.search_workers.run(lambda: _status(served))


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the server answers."""
    return {"status": "ok"}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(state: Shared) -> Response:
    """Give the numbers of this server to Prometheus."""
    text = await state.search_workers.run(state.metrics.text)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.post("/session", status_code=204)
async def session(request: Request, state: Shared, given: schemas.SessionRequest) -> Response:
    """Exchange the token for a cookie, as the page does."""
    answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
    if state.sessions is None:
        return answer  # nobody needs one
    if not state.sessions.is_token(given.token):
        raise Problem(401, "This is not the token that the server was started with.")
    answer.set_cookie(
        state.sessions.cookie,
        state.sessions.new(),
        max_age=DAYS * 86400,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


async def _form(request: Request) -> tuple[schemas.SearchBody, list[bytes]]:
    """Return the request and the files of a multipart body."""
    async with request.form(max_files=schemas.MAX_PARTS, max_fields=schemas.MAX_PARTS) as form:
        if set(form) - {"image", "query"}:
            raise Problem(422, "A form has files named image and a field named query, no others.")
        files = []
        for file in form.getlist("image"):
            if not isinstance(file, UploadFile):
                raise Problem(422, "image: send a file.")
            files.append(await file.read())
        query = form.get("query", "{}")
        if not isinstance(query, str):
            raise Problem(422, "query: send JSON in a field, not in a file.")
        if not files:
            raise Problem(422, "image: send at least one file, or send JSON instead of a form.")
    return schemas.SearchBody.model_validate_json(query), files


def _decoded(files: list[bytes], most_pixels: int) -> list[Image.Image]:
    decoded = []
    for number, data in enumerate(files):
        try:
            image = decode_image(data, max_pixels=most_pixels)
            image.thumbnail((_UPLOAD_SIDE, _UPLOAD_SIDE))  # one large one at a time in memory
            decoded.append(image)
        except ImageError as error:
            raise Problem(422, f"Image {number} cannot be read: {error}.") from error
    return decoded


def _box(text: str) -> Box:
    if not _BOX.fullmatch(text):
        raise Problem(422, "box: give x0,y0,x1,y1, each in 0..1, such as 0.25,0,0.5,0.4.")
    x0, y0, x1, y1 = map(float, text.split(","))
    if not (x0 < x1 <= 1 and y0 < y1 <= 1):
        raise Problem(422, "box: x0 must be below x1 and y0 below y1, and none above 1.")
    return x0, y0, x1, y1


def _described(served: ServedCollection) -> schemas.CollectionAnswer:
    collection = served.collection()
    model = collection.status()["model"] if collection.exists else None
    return schemas.CollectionAnswer(name=served.name, images=len(collection), model=_short(model))


def _status(served: ServedCollection) -> schemas.StatusAnswer:
    collection = served.collection()
    facts: dict[str, Any] = collection.status() if collection.exists else {}
    return schemas.StatusAnswer(
        name=served.name,
        images=facts.get("images", 0),
        version=collection.table().version if collection.exists else 0,
        model=_short(facts.get("model")),
        regions=facts.get("regions"),
        items=served.tells_items,
        folders=served.outline().folders,
        indexing=read_progress(served.directory),
    )


def _short(model: str | None) -> str | None:
    """Return a model's name; of a folder only its own name, not where it is."""
    if model is None or model.count("/") == 1:
        return model
    return re.split(r"[/\\]", model)[-1]
