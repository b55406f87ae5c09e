"""Bounds what a request may send and how long it may take, before any of it is used."""

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finesight.server.problems import Problem
from finesight.server.settings import Limits


class Bounded:
    """Reads a request's body whole, within limits of bytes and time, then lets the app answer.

    The bodies of all requests together stay below `buffered_bytes`: that bounds the memory.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self._limits = limits
        self._buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    complete = await self._read(body, scope, receive)
            except TimeoutError:
                raise Problem(
                    408, f"The body was not there within {self._limits.body_seconds:g} s."
                ) from None
            if complete:
                await self._answer(bytes(body), scope, receive, send)
        except Problem as problem:
            await problem.response()(scope, receive, send)
        finally:
            self._buffered -= len(body)

    async def _read(self, body: bytearray, scope: Scope, receive: Receive) -> bool:
        """Append the body; return whether it came whole, raise Problem where it is too large."""
        limit = self._largest(Headers(scope=scope))
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            part = message.get("body", b"")
            if len(body) + len(part) > limit:
                raise _too_large(limit)
            if self._buffered + len(part) > self._limits.buffered_bytes:
                raise Problem(503, "Too many uploads at once: try again in a moment.")
            body += part
            self._buffered += len(part)
            if not message.get("more_body", False):
                return True

    def _largest(self, headers: Headers) -> int:
        """Return how many bytes this body may have; raise Problem where it says it has more."""
        limits = self._limits
        is_upload = headers.get("content-type", "").lower().startswith("multipart/")
        limit = limits.upload_bytes if is_upload else limits.json_bytes
        said = headers.get("content-length", "0")
        if said.isdigit() and int(said) > limit:
            raise _too_large(limit)
        return limit

    async def _answer(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        given = False
        started = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                await self.app(scope, replay, watched)
        except TimeoutError:
            if not started:
                raise Problem(
                    503, f"No answer within {self._limits.answer_seconds:g} s: try again."
                ) from None
        except Exception:
            # Who asked got a problem document from the app; the log gets what happened.
            logging.getLogger("finesight.server").exception("%s %s", scope["method"], scope["path"])
            if not started:
                raise Problem(500, "Something went wrong; the server's log says what.") from None


def _too_large(limit: int) -> Problem:
    return Problem(413, f"At most {limit:,} bytes are taken.")
