"""Bounds what a request may send and how long it may take, before any of it is used."""

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finesight.server.problems import Layer, Problem
from finesight.server.settings import Limits


class Bounded(Layer):
    """Reads a request's body whole, within limits of bytes and time, then lets the app answer.

    The bodies of all requests together stay below `buffered_bytes`: that bounds the memory.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        super().__init__(app)
        self._limits = limits
        self._buffered = 0

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                complete = await self._read(body, scope, receive)
        except TimeoutError:
            seconds = self._limits.body_seconds
            raise Problem(408, f"The body was not there within {seconds:g} s.") from None
        else:
            if complete:
                await self._pass_on(bytes(body), scope, receive, send)
        finally:
            self._buffered -= len(body)

    async def _read(self, body: bytearray, scope: Scope, receive: Receive) -> bool:
        """Append the body; return whether it came whole, raise Problem where it is too large."""
        headers = Headers(scope=scope)
        is_upload = headers.get("content-type", "").lower().startswith("multipart/")
        limit = self._limits.upload_bytes if is_upload else self._limits.json_bytes
        announced = headers.get("content-length", "0")
        too_large = Problem(413, f"At most {limit:,} bytes are taken.")
        if announced.isdigit() and int(announced) > limit:
            raise too_large
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            part = message.get("body", b"")
            if len(body) + len(part) > limit:
                raise too_large
            if self._buffered + len(part) > self._limits.buffered_bytes:
                raise Problem(503, "Too many uploads at once: try again in a moment.")
            body += part
            self._buffered += len(part)
            if not message.get("more_body", False):
                return True

    async def _pass_on(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        bodies = iter([body])
        started = False

        async def replay() -> Message:
            for whole in bodies:
                return {"type": "http.request", "body": whole, "more_body": False}
            return await receive()

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                await self.app(scope, replay, watched)
        except TimeoutError:
            if not started:
                seconds = self._limits.answer_seconds
                raise Problem(503, f"No answer within {seconds:g} s: try again.") from None
        except Exception:
            # Who asked got a problem document from the app; the log gets what happened.
            logging.getLogger("finesight.server").exception("%s %s", scope["method"], scope["path"])
            if not started:
                raise Problem(500, "Something went wrong; the server's log says what.") from None
