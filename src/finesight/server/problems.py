"""Errors as RFC 9457 problem documents: what went wrong and what to do, without paths or traces."""

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from finesight.errors import FinesightError, InputError

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("finesight.server")
# An absolute path, of this system or of Windows, up to what ends a word in a message.
_PATH = re.compile(r"(?<![\w./\\])(?:[A-Za-z]:[\\/]|\\\\|~?/)[^\s'\",;]*[^\s'\",;:.)\]]")

_TITLES = {
    400: "The request cannot be understood",
    401: "A token is needed",
    403: "Refused",
    404: "Not found",
    405: "This method is not allowed here",
    408: "The request came too slowly",
    413: "The request is too large",
    415: "This kind of content is not taken",
    421: "This server does not answer to that name",
    422: "The request cannot be answered",
    500: "The server failed",
    503: "The server is busy",
}
_HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="finesight"'},
    408: {"Connection": "close"},
    413: {"Connection": "close"},
    503: {"Retry-After": "2"},
}


class FieldError(BaseModel):
    """One part of a request that is wrong."""

    where: str = Field(description="The field, such as `k` or `parts.0.box`.")
    message: str


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(Exception):
    """A request that is refused; becomes a problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.document = ProblemDocument(
            title=_TITLES.get(status, "The request failed"),
            status=status,
            detail=detail,
            errors=list(errors),
        )
        self._headers = {"Cache-Control": "no-store"} | (headers or _HEADERS.get(status, {}))

    def response(self) -> Response:
        """Return the answer that says so."""
        document = self.document
        content = document.model_dump(exclude=None if document.errors else {"errors"})
        return JSONResponse(content, document.status, self._headers, MEDIA_TYPE)


def without_paths(message: str) -> str:
    """Return a message in which every absolute path is replaced by three dots."""
    return _PATH.sub("…", message)


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error is; what is the server's own failure is logged."""
    match error:
        case Problem():
            return error
        case RequestValidationError() | ValidationError():
            return _invalid(error.errors())
        case HTTPException():
            allow = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
            return Problem(error.status_code, str(error.detail), headers=allow)
        case InputError():
            return Problem(422, without_paths(str(error)))
        case FinesightError():
            _log.error("%s", error)
            return Problem(500, "The collection cannot be read; the server's log says why.")
        case _:
            return Problem(500, "Something went wrong; the server's log says what.")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers that refuse a request, as FastAPI takes them."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {status: {"description": "A problem.", "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Make every error of an app a problem document."""

    async def answer(_: Request, error: Exception) -> Response:
        return problem_of(error).response()

    kinds = (Problem, RequestValidationError, ValidationError, HTTPException, FinesightError)
    for kind in (*kinds, Exception):
        app.add_exception_handler(kind, answer)


def _invalid(errors: Sequence[Any]) -> Problem:
    """Return the problem of wrong fields: what pydantic found, without the input it found it in."""
    found = [
        FieldError(
            where=".".join(str(part) for part in error["loc"] if part not in ("body", "query"))
            or "body",
            message=error["msg"],
        )
        for error in errors[:20]
    ]
    first = f"{found[0].where}: {found[0].message}" if found else "The request is not valid."
    return Problem(422, first, found)
