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

    def __init__(self, status: int, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)

    def response(self) -> Response:
        """Return the answer that says so."""
        headers = {
            401: {"WWW-Authenticate": 'Bearer realm="finesight"'},
            408: {"Connection": "close"},
            413: {"Connection": "close"},
            503: {"Retry-After": "2"},
        }.get(self.status, {})
        return problem_response(self.status, self.detail, self.errors, headers)


def problem_response(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a problem document as an answer."""
    title = _TITLES.get(status, "The request failed")
    document = ProblemDocument(title=title, status=status, detail=detail, errors=list(errors))
    content = document.model_dump(exclude_defaults=False)
    if not errors:
        del content["errors"]
    return JSONResponse(
        content,
        status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store"} | (headers or {}),
    )


def without_paths(message: str) -> str:
    """Return a message in which every absolute path is replaced by three dots."""
    return _PATH.sub("…", message)


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Return what pydantic found, without the input it found it in."""
    return [
        FieldError(
            where=".".join(str(part) for part in error["loc"] if part not in ("body", "query"))
            or "body",
            message=error["msg"],
        )
        for error in errors[:20]
    ]


def invalid(errors: Sequence[Any]) -> Problem:
    """Return the problem of a request whose fields are wrong."""
    found = field_errors(errors)
    first = found[0] if found else None
    detail = f"{first.where}: {first.message}" if first else "The request is not valid."
    return Problem(422, detail, found)


def explain(error: FinesightError) -> Problem:
    """Return the problem that an error of finesight is; what is the server's own is logged."""
    if isinstance(error, InputError):
        return Problem(422, without_paths(str(error)))
    _log.error("%s", error)
    return Problem(500, "The collection cannot be read; the server's log says why.")


def install(app: FastAPI) -> None:
    """Make every error of an app a problem document."""

    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError | ValidationError)
        return invalid(error.errors()).response()

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
        return problem_response(error.status_code, str(error.detail), (), headers)

    async def on_finesight(_: Request, error: Exception) -> Response:
        assert isinstance(error, FinesightError)
        return explain(error).response()

    async def on_failure(_: Request, error: Exception) -> Response:
        return problem_response(500, "Something went wrong; the server's log says what.")

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(Exception, on_failure)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(ValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(FinesightError, on_finesight)
