"""What all requests to one server share."""

import os
from dataclasses import dataclass

from finesight.server.collections import ServedCollections
from finesight.server.metrics import Metrics
from finesight.server.pictures import Pictures
from finesight.server.sessions import Sessions
from finesight.server.settings import Settings
from finesight.server.workers import Workers


@dataclass(frozen=True)
class State:
    """The collections, and who works on them.

    searchers: threads that search; painters: threads that make pictures; sessions: None where no
    token is needed.
    """

    settings: Settings
    shelf: ServedCollections
    pictures: Pictures
    metrics: Metrics
    sessions: Sessions | None
    searchers: Workers
    painters: Workers

    @staticmethod
    def of(settings: Settings) -> "State":
        """Return the state of a server that has not answered anything yet."""
        cores = os.cpu_count() or 1
        shelf = ServedCollections(settings.collections)
        return State(
            settings=settings,
            shelf=shelf,
            pictures=Pictures(settings.limits.thumbnail_bytes),
            metrics=Metrics(shelf),
            sessions=None if settings.token is None else Sessions(settings.token),
            # More than cores: while one encodes for several, the others wait for it.
            searchers=Workers(min(2 * cores, 16), settings.limits.waiting, "search"),
            painters=Workers(min(cores, 4), 2 * settings.limits.waiting, "paint"),
        )

    def close(self) -> None:
        """Let the threads end."""
        self.searchers.close()
        self.painters.close()
