"""What is read from the disk or drawn while a step of training is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def made_ahead(make: Callable[[int], T], numbers: Iterable[int], ahead: int = 1) -> Iterator[T]:
    """Yield what `make` returns for each number, made by a thread that stays a few ahead.

    What it raises is raised here, in its turn.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for number in numbers:
                waiting.append(pool.submit(make, number))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
