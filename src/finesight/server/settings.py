"""What a server may do: one record of settings and limits, with good defaults."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names by which a machine calls itself; a loopback server answers to nothing else."""

MIN_TOKEN = 16
"""Characters a token has at least: a shorter one could be guessed."""


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take.

    json_bytes, upload_bytes: of a request's body; buffered_bytes: of all bodies being read;
    upload_pixels: of one uploaded image, checked before it is decoded; header_seconds,
    body_seconds: until a request's head and body are there; answer_seconds: until it is answered;
    waiting: requests that wait for a worker, beyond which the server says that it is busy;
    connections: open at once; thumbnail_bytes: kept in memory.
    """

    json_bytes: int = 64 * 1024
    upload_bytes: int = 24 * 1024 * 1024
    buffered_bytes: int = 128 * 1024 * 1024
    upload_pixels: int = 50_000_000
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    answer_seconds: float = 60.0
    waiting: int = 256
    connections: int = 1024
    thumbnail_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """What is served, to whom, and within which limits.

    collections: their folders, the first is the one that is searched unless another is named;
    host: the address listened on; names: further host names the server answers to; origins:
    pages of other origins that may call it (none unless named); token: what a caller has to know,
    or None where everyone on this machine may ask.
    """

    collections: tuple[Path, ...]
    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    token: str | None = None
    limits: Limits = Limits()


def is_loopback(host: str) -> bool:
    """Return whether a host name or address stands for this machine alone."""
    address = address_of(host)
    return host.lower() in LOOPBACK_NAMES or (address is not None and address.is_loopback)


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host is written as; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
