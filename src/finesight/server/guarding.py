"""Lets in only requests that are meant for this server, and tells browsers to be strict."""

import socket
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finesight.server.problems import Layer, Problem
from finesight.server.settings import LOOPBACK_NAMES, Settings, address_of, is_loopback

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
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


class Strict(Layer):
    """Sets the headers of `HEADERS` on every answer."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, strict)


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
