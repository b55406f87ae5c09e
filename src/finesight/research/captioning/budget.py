"""What asking models may cost, and what it has cost so far."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from finesight.errors import InputError


@dataclass(frozen=True)
class Budget:
    """The most that one run may use; None where there is no limit.

    requests, tokens: of all images together, as the endpoints count tokens; seconds: of wall clock.
    """

    requests: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse a budget of nothing."""
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise InputError(f"a budget of {value} {name} allows nothing: give more, or none")


class BudgetSpentError(Exception):
    """A budget is used up; the message says which, as the end of a sentence."""


class Spending:
    """What one run has used; safe for several threads."""

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.requests = 0
        self.tokens = 0
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Count one more request; raises BudgetSpentError where it may not be sent."""
        with self._lock:
            for name in ("requests", "tokens"):
                most = getattr(self.budget, name)
                if most is not None and getattr(self, name) >= most:
                    raise BudgetSpentError(f"the budget of {most:,} {name} is spent")
            self.within(math.inf)
            self.requests += 1

    def count(self, tokens: int) -> None:
        """Count the tokens of an answer."""
        with self._lock:
            self.tokens += tokens

    def within(self, seconds: float) -> float:
        """Return so many seconds, or what is left; raises BudgetSpentError where nothing is."""
        if self.budget.seconds is None:
            return seconds
        left = self.budget.seconds - (self._clock() - self._start)
        if left <= 0:
            raise BudgetSpentError(f"the budget of {self.budget.seconds:g} seconds is spent")
        return min(seconds, left)
