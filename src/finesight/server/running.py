"""Runs the server: its address, its limits on connections, and a stop that loses nothing."""

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from finesight.errors import InputError
from finesight.server.app import create_app
from finesight.server.settings import MIN_TOKEN, Settings, is_loopback

_STOP_SECONDS = 10  # for requests that are being answered when the server is told to stop


def token_for(host: str, given: str | None) -> str | None:
    """Return the token that a server on a host asks for: the given one, else a new one.

    On loopback none is needed. Raises InputError for one that could be guessed.
    """
    if given is None:
        return None if is_loopback(host) else secrets.token_urlsafe(24)
    if len(given) < MIN_TOKEN or not given.isascii() or not given.isprintable() or " " in given:
        raise InputError(
            f"the token is too short or has spaces or letters outside ASCII: give at least "
            f"{MIN_TOKEN} characters, such as {secrets.token_urlsafe(24)}"
        )
    return given


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address; raises InputError where that cannot be."""
    try:
        # With its protocol: asyncio sends small answers at once only on sockets that say TCP.
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise InputError(f"there is no address {host}: give another --host ({error})") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise InputError(
            f"cannot listen on {host} port {port} ({error.strerror or error}): give another "
            "--port, or --port 0 for any that is free"
        ) from error
    return listening


def url_of(listening: socket.socket, settings: Settings) -> str:
    """Return the address to open in a browser; the token is behind #, which is never sent."""
    port = listening.getsockname()[1]
    host = settings.host
    if host in ("0.0.0.0", "::"):
        host = _address_in_the_network() or "localhost"
    name = f"[{host}]" if ":" in host else host
    fragment = "" if settings.token is None else f"#token={settings.token}"
    return f"http://{name}:{port}/{fragment}"


def run(settings: Settings, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; what is being answered then is answered first.

    ready: called once the server answers.
    """
    server = _Server(
        uvicorn.Config(
            create_app(settings),
            http=_WithDeadline.within(settings.limits.header_seconds),
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=settings.limits.connections,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=_STOP_SECONDS,
            h11_max_incomplete_event_size=32 * 1024,
        ),
        ready,
    )
    # uvicorn raises the signal that stopped it again: stopping as asked is no failure.
    stops = (signal.SIGINT, signal.SIGTERM)
    handlers = {each: signal.signal(each, lambda *_: None) for each in stops}
    try:
        server.run(sockets=[listening])
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


class _WithDeadline(H11Protocol):
    """Closes a connection whose next request's head is not there in time.

    Otherwise a client could hold connections open by sending one letter a minute.
    """

    seconds = 10.0

    @staticmethod
    def within(seconds: float) -> "type[_WithDeadline]":
        """Return the protocol with a deadline."""
        return type("Deadline", (_WithDeadline,), {"seconds": seconds})

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._arm()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._arm()
        else:
            self._disarm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # What the client sent of its next request meanwhile counts from now on.
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


def _address_in_the_network() -> str | None:
    """Return the address by which others reach this machine; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documentation, never answered
        except OSError:
            return None
        return str(probe.getsockname()[0])
