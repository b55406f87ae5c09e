"""Threads for what takes time: few, with a short queue, so that the server goes on answering."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from finesight.server.problems import Problem

T = TypeVar("T")


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
