"""A server on a free port of loopback, over a collection of coloured spots."""

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import COLORS, spotted

pytest.importorskip("fastapi", reason="the extra `server` is not installed")

import uvicorn

from finesight.collection import Collection
from finesight.models import load_model as load_real_model
from finesight.server.app import create_app
from finesight.server.running import _WithDeadline, bind
from finesight.server.settings import Limits, Settings


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: Any
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Served:
    """A running server: where it is, and how to ask it."""

    url: str
    port: int

    def ask(self, path, body=None, headers=None, method=None):
        """Send a request; a dict as body goes as JSON. Answers that are no success are returned."""
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def search(self, **asked):
        answer = self.ask("/search", asked)
        assert answer.status == 200, answer.body
        return answer.json()

    @contextlib.contextmanager
    def connected(self):
        """Give a plain connection, for requests that no client library would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            yield connection

    def raw(self, request):
        """Send bytes and return all that comes back until the server closes."""
        with self.connected() as connection:
            connection.sendall(request)
            return read_all(connection)


def read_all(connection):
    """Return what comes until the other side closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@contextlib.contextmanager
def serving(settings):
    """Run a server in a thread until the block ends."""
    listening = bind(settings.host, 0)
    config = uvicorn.Config(
        create_app(settings),
        http=_WithDeadline.within(settings.limits.header_seconds),
        ws="none",
        log_config=None,
        server_header=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    port = listening.getsockname()[1]
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Served(f"http://127.0.0.1:{port}", port)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def spots(tmp_path_factory):
    """A folder of six images: of each colour one with a small spot and one with a larger."""
    root = tmp_path_factory.mktemp("spots")
    for color in COLORS:
        spotted(root / "small" / f"{color}.png", color)
        spotted(root / "large" / f"{color} 'quoted'.png", color, size=(160, 200), spot=60)
    return root


@pytest.fixture
def collection(spots, tmp_path, color_model, monkeypatch):
    """A collection of the spots, whose model is found by its name."""

    def load(source):
        return color_model if source == "colors" else load_real_model(source)

    monkeypatch.setattr("finesight.search.reader.load_model", load)
    made = Collection.open(tmp_path / "pics.finesight", color_model)
    made.add([spots])
    return made


@pytest.fixture
def served(collection):
    """A server over the collection, with short limits."""
    limits = Limits(header_seconds=1.0, body_seconds=1.0, upload_bytes=200_000, json_bytes=8_000)
    with serving(Settings(collections=(collection.directory,), limits=limits)) as running:
        yield running
