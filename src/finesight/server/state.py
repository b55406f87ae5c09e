"""What all requests to one server share: its collections, and the threads that work on them."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from finesight.server.collections import ServedCollections
from finesight.server.metrics import Metrics
from finesight.server.problems import Problem
from finesight.server.sessions import Sessions
from finesight.server.settings import Settings
from finesight.server.thumbnails import Thumbnails

T = TypeVar("T")


class State:
    """The state of a server; sessions: None where no token is needed."""

    def __init__(self, settings: Settings) -> None:
        cores, waiting = os.cpu_count() or 1, settings.limits.waiting
        self.settings = settings
        self.collections = ServedCollections(settings.collections)
        self.thumbnails = Thumbnails(settings.limits.thumbnail_bytes)
        self.metrics = Metrics(self.collections)
        self.sessions = None if settings.token is None else Sessions(settings.token)
        # More than cores: while one encodes for several, the others wait for it.
        self.search_workers = Workers(min(2 * cores, 16), waiting, "search")
        self.thumbnail_workers = Workers(min(cores, 4), 2 * waiting, "thumbnail")

    def close(self) -> None:
        """Let the threads end."""
        self.search_workers.close()
        self.thumbnail_workers.close()


class Workers:
    """Some threads; where too many calls wait for them, further ones are refused at once.

    Must be used from one event loop.
    """

    def __init__(self, threads: int, waiting: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._busy = 0

    async def run(self, function: Callable[[], T]) -> T:
        """Return what a function returns, run in one of the threads; raises Problem when busy."""
        if self._busy >= self._most:
            raise Problem(503, "Too many requests at once: try again in a moment.")
        self._busy += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, function)
        # The work goes on where the caller gave up, and counts until it is done.
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Let running work end, and begin no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, future: "asyncio.Future[T]") -> None:
        self._busy -= 1
        if not future.cancelled():
            future.exception()  # seen here, where the caller has gone
