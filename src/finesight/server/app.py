"""Puts the server together: the API, the page, and around them what keeps both safe."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from finesight.errors import FinesightError
from finesight.server import api, page, problems
from finesight.server.layers import Bounded, Guard, Outermost, TokenCheck
from finesight.server.problems import ProblemDocument, refusals
from finesight.server.schemas import SearchBody
from finesight.server.settings import Settings
from finesight.server.state import State

_ALWAYS = (400, 403, 408, 413, 421, 422, 500, 503)  # how any request may be refused
_STOP_SECONDS = 10.0  # a server that is told to stop waits so long for its model


def create_app(settings: Settings) -> ASGIApp:
    """Return the server as an ASGI application.

    From the outside in: every request is counted, checked for its Host and Origin, for its token,
    and read within its limits, before the API sees it.
    """
    state = State(settings)
    app = _App(
        title="finesight",
        version="1",
        description="Find images by the small things in them.",
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.finesight = state
    refused = _ALWAYS if settings.token is None else (401, *_ALWAYS)
    app.include_router(api.router, responses=refusals(*refused))
    app.include_router(page.router)
    problems.install(app)
    checked: ASGIApp = Bounded(app, settings.limits)
    if state.sessions is not None:
        checked = TokenCheck(checked, state.sessions)
    if settings.origins:
        checked = CORSMiddleware(
            checked,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return Outermost(Guard(checked, settings), state.metrics)


class _App(FastAPI):
    """An app whose document also has what FastAPI cannot know of it."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, with the records that no signature names."""
        if self.openapi_schema is None:
            document = super().openapi()  # which keeps it
            found = document["components"]
            for model in (ProblemDocument, SearchBody):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                found["schemas"] |= schema.pop("$defs", {}) | {model.__name__: schema}
            if self.state.finesight.sessions is not None:
                found["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                document["security"] = [{"token": []}]
        return super().openapi()


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the first collection's model while the page is already there."""
    state: State = app.state.finesight

    def warm() -> None:
        try:
            state.collections.get().warm()
        except FinesightError as error:  # whoever searches is told as well
            logging.getLogger("finesight.server").error("%s", error)

    warming = threading.Thread(target=warm, daemon=True, name="warm")
    warming.start()
    yield
    # Native libraries must not be cut off while they are loaded; a download may be.
    await asyncio.to_thread(warming.join, _STOP_SECONDS)
    state.close()
