"""The OpenAPI document: what FastAPI cannot know of the API, told in one place."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from finesight.server.problems import MEDIA_TYPE, ProblemDocument
from finesight.server.schemas import MAX_PARTS, SearchRequest

_SEARCH = {"$ref": "#/components/schemas/SearchRequest"}

SEARCH_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": _SEARCH},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {
                    "image": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_PARTS,
                        "items": {"type": "string", "format": "binary"},
                    },
                    "query": {**_SEARCH, "description": "As in application/json."},
                },
            },
            "encoding": {"query": {"contentType": "application/json"}},
        },
    },
}
"""The two bodies that POST /search takes."""

_ALWAYS = (400, 403, 408, 413, 421, 422, 500, 503)
_MORE = {
    ("/search", "post"): (404, 415),
    ("/images", "get"): (404,),
    ("/images/{id}", "get"): (404,),
    ("/status", "get"): (404,),
}


def describe(app: FastAPI, needs_token: bool) -> None:
    """Make an app's OpenAPI document say which problems and which token there are."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, needs_token)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, needs_token: bool) -> dict[str, Any]:
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
    )
    schemas = found["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in (ProblemDocument, SearchRequest):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    problem = {"$ref": "#/components/schemas/ProblemDocument"}
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            codes = (*_ALWAYS, *_MORE.get((path, method), ()), *((401,) if needs_token else ()))
            for code in codes:
                operation["responses"][str(code)] = {
                    "description": "A problem.",
                    "content": {MEDIA_TYPE: {"schema": problem}},
                }
    if needs_token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found
