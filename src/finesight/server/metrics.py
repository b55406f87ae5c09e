"""What Prometheus reads: requests, searches, batches and images, in numbers."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

from finesight.server.collections import ServedCollections

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The numbers of one server, in a registry of its own."""

    def __init__(self, collections: ServedCollections) -> None:
        self._collections = collections
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "finesight_requests",
            "Requests.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        gauge = partial(Gauge, labelnames=["collection"], registry=self._registry)
        self._seconds = Histogram(
            "finesight_request_seconds",
            "Time from a request's head to its answer's.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._images = gauge("finesight_images", "Images of a collection.")
        self._encoded = gauge(
            "finesight_encoded_queries",
            "Texts and images of queries that were encoded; repeated texts are not.",
        )
        self._batches = gauge("finesight_encoded_batches", "Batches they were encoded in.")

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answered request; its route, not its path, so that names stay few."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all numbers as Prometheus reads them."""
        for served in self._collections:
            self._images.labels(served.name).set(served.outline().images)
            if served.encoder is not None:
                self._encoded.labels(served.name).set(served.encoder.encoded)
                self._batches.labels(served.name).set(served.encoder.batches)
        return generate_latest(self._registry)
