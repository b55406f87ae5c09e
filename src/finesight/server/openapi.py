"""The OpenAPI document: what FastAPI cannot know of the API, written down in one place."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from finesight.server.problems import MEDIA_TYPE, ProblemDocument
from finesight.server.schemas import MAX_PARTS, SearchBody


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


SEARCH_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": _reference("SearchBody")},
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
                    "query": {**_reference("SearchBody"), "description": "As in application/json."},
                },
            },
            "encoding": {"query": {"contentType": "application/json"}},
        },
    },
}
"""The two bodies that POST /search takes."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers that refuse a request, as FastAPI takes them."""
    content = {MEDIA_TYPE: {"schema": _reference("ProblemDocument")}}
    return {status: {"description": "A problem.", "content": content} for status in statuses}


ALWAYS = (400, 403, 408, 413, 421, 422, 500, 503)
"""How any request may be refused."""


def document_of(app: FastAPI, needs_token: bool) -> Callable[[], dict[str, Any]]:
    """Return what makes an app's document, with the records that no signature of it names."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = plain()
            schemas = found["components"]["schemas"]
            for model in (ProblemDocument, SearchBody):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
            if needs_token:
                scheme = {"type": "http", "scheme": "bearer"}
                found["components"]["securitySchemes"] = {"token": scheme}
                found["security"] = [{"token": []}]
        assert app.openapi_schema is not None
        return app.openapi_schema

    return document
