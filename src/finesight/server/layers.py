"""What every request passes before the API sees it: counted, guarded, admitted and bounded."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finesight.server.metrics import Metrics
from finesight.server.problems import Problem
from finesight.server.sessions import Sessions
from finesight.server.settings import LOOPBACK_NAMES, Limits, Settings, address_of, is_loopback

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""What the page may load: its own files, and pictures that a person dropped into it."""

HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

PUBLIC = frozenset({"/", "/health", "/session", "/favicon.ico", "/openapi.json"})
"""Answered without a token, as /page/ is: the page's own files, health, and the door."""


class Layer:
    """A layer around an ASGI application, which refuses a request by raising Problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self.answer(scope, receive, send)
        except Problem as problem:
            await problem.response()(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer a request, or raise Problem."""
        raise NotImplementedError


class Outermost(Layer):
    """Counts every request, whoever answers it, and sets the headers of `HEADERS` on the answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        super().__init__(app)
        self._metrics = metrics

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        status = 499  # nobody waited for an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            self._metrics.count(scope, status, time.perf_counter() - start)


class Guard(Layer):
    """Refuses requests with a foreign Host or Origin header.

    A page of another site can make a browser send requests here: under a name of its own that
    it lets resolve to this machine (DNS rebinding), which the Host header gives away, or
    across sites, which Origin and Sec-Fetch-Site give away.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(app)
        self._answers_to = host_check(settings)
        self._origins = frozenset(settings.origins)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._answers_to(host_name(host)):
            raise Problem(
                421,
                "Open the address that the server printed, or name this host with --allow-host.",
            )
        if not self._may_ask(headers, host, scope):
            raise Problem(403, "Pages of other sites may not ask this server.")
        await self.app(scope, receive, send)

    def _may_ask(self, headers: Headers, host: str, scope: Scope) -> bool:
        origin = headers.get("origin")
        if origin is not None:
            return origin in (f"http://{host}", f"https://{host}") or origin in self._origins
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        # A link on another site may open the page itself, and nothing else.
        return headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/"


class TokenCheck(Layer):
    """Answers 401 to whoever does not show the token; the page itself holds nothing secret."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        super().__init__(app)
        self._sessions = sessions

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        public = scope["path"] in PUBLIC or scope["path"].startswith("/page/")
        if not (public or self._sessions.admits(Headers(scope=scope))):
            raise Problem(
                401, "Send the token that the server was started with: Authorization: Bearer TOKEN."
            )
        await self.app(scope, receive, send)


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


def host_name(header: str) -> str:
    """Return the name of a Host header, without its port and brackets, in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().rstrip(".")


def host_check(settings: Settings) -> Callable[[str], bool]:
    """Return what says whether the server answers to a name.

    Loopback names always; where it listens to a network also the names of this machine and plain
    addresses, which no site can make point elsewhere.
    """
    names = {*LOOPBACK_NAMES, *(name.lower() for name in settings.names), settings.host.lower()}
    if is_loopback(settings.host):
        return names.__contains__
    machine = socket.gethostname().lower()
    names |= {machine, machine.partition(".")[0], f"{machine.partition('.')[0]}.local"}
    return lambda name: name in names or address_of(name) is not None
