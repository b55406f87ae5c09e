"""What Prometheus reads: requests, searches, batches and images, in numbers."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finesight.server.collections import ServedCollections

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The numbers of one server, in a registry of its own."""

    def __init__(self, shelf: ServedCollections) -> None:
        self._shelf = shelf
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "finesight_requests",
            "Requests.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "finesight_request_seconds",
            "Time from a request's head to its answer's.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._images = Gauge(
            "finesight_images", "Images of a collection.", ["collection"], registry=self._registry
        )
        self._encoded = Gauge(
            "finesight_encoded_queries",
            "Texts and images of queries that were encoded; repeated texts are not.",
            ["collection"],
            registry=self._registry,
        )
        self._batches = Gauge(
            "finesight_encoded_batches",
            "Batches they were encoded in.",
            ["collection"],
            registry=self._registry,
        )

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answered request; its route, not its path, so that names stay few."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all numbers as Prometheus reads them."""
        for served in self._shelf:
            self._images.labels(served.name).set(served.outline().images)
            if served.encoder is not None:
                self._encoded.labels(served.name).set(served.encoder.encoded)
                self._batches.labels(served.name).set(served.encoder.batches)
        return generate_latest(self._registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """Counts every request that comes in, whoever answers it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 499  # nobody waited for an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            self._metrics.count(scope, status, time.perf_counter() - start)
