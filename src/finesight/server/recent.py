"""A memory of bounded size for what was used last."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps values by key as long as their sizes add up to at most `budget`; for all threads.

    size: of one value, which counts as 1 where it is not given. What was longest not used goes
    first; a value larger than the budget is not kept.
    """

    def __init__(self, budget: int, size: Callable[[V], int] = lambda value: 1) -> None:
        self._budget = budget
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value of a key, which counts as used now; None where it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value, in place of an earlier one of its key."""
        with self._lock:
            if key in self._values:
                self._used -= self._size(self._values.pop(key))
            if self._size(value) > self._budget:
                return
            self._values[key] = value
            self._used += self._size(value)
            while self._used > self._budget:
                self._used -= self._size(self._values.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._used = 0

    def __len__(self) -> int:
        return len(self._values)
