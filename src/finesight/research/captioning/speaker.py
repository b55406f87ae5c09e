"""A model that is asked until it gives something that can be used, or clearly does not.

What asking may cost, and what it has cost so far, is counted over all models of a run.
"""

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from finesight.errors import InputError, ServiceError
from finesight.queries.chat import ChatEndpoint, Message, NoAnswerError, within

_FIRST_WAIT = 1.0  # seconds before asking again, doubled each time
_LONGEST_WAIT = 30.0
_OTHERWISE = 0.7  # the temperature of further tries: at 0 the same nonsense would come again


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


class NonsenseError(Exception):
    """A model answers, and nothing that can be used; the message is a sentence."""


@dataclass(frozen=True)
class Speaker:
    """One of the models of a dialogue.

    role: "asker" or "answerer"; timeout: seconds for one answer; retries: how often a request that
    failed is sent again, each time after twice the wait; tries: how often what makes no sense is
    asked again. stop: set where another thread has given up.
    """

    role: str
    endpoint: ChatEndpoint
    spending: Spending
    timeout: float = 60.0
    retries: int = 3
    tries: int = 3
    stop: threading.Event = field(default_factory=threading.Event)

    def say(
        self, messages: Sequence[Message], max_tokens: int, read: Callable[[str], str | None]
    ) -> str:
        """Return what `read` makes of the model's answer; it returns None for what is no use.

        Raises NonsenseError where all tries are, ServiceError where the endpoint fails for good,
        BudgetSpentError where no more may be asked.
        """
        said = ""
        for number in range(self.tries):
            said = self._ask(messages, max_tokens, 0.0 if number == 0 else _OTHERWISE)
            if (found := read(said)) is not None:
                return found
        shown = " ".join(said.split())[:80]
        raise NonsenseError(
            f"the {self.role} {self.endpoint.model} gave nothing of use {self.tries} times "
            f"(at last {shown!r})"
        )

    def _ask(self, messages: Sequence[Message], max_tokens: int, temperature: float) -> str:
        for failed in itertools.count():
            if self.stop.is_set():
                raise BudgetSpentError("the run is ending")
            self.spending.begin()
            seconds = self.spending.within(self.timeout)
            ask = partial(self.endpoint.ask, messages, seconds, max_tokens, temperature)
            try:
                said, tokens = within(seconds, ask)
                break
            except NoAnswerError as error:
                self.spending.within(self.timeout)  # it may have been the budget that cut it off
                if not error.again or failed == self.retries:
                    raise self._given_up(error) from error
                wait = _FIRST_WAIT * 2**failed if error.wait is None else error.wait
                self.stop.wait(self.spending.within(min(wait, _LONGEST_WAIT)))
        self.spending.count(tokens)
        return said

    def _given_up(self, error: NoAnswerError) -> ServiceError:
        asked = f"the {self.role} {self.endpoint.model} at {self.endpoint.url} {error}"
        if error.again:
            return ServiceError(
                f"{asked}, {self.retries + 1} times: start it or give it longer with --timeout"
            )
        return ServiceError(f"{asked}, so asking again does not help: {self._advice(str(error))}")

    def _advice(self, reason: str) -> str:
        if reason.endswith(("401", "403")):
            return f"give its key in $FINESIGHT_{'LLM' if self.role == 'asker' else 'VQA'}_KEY"
        if reason.endswith("404"):
            named = f"--{self.role}-model"
            return f"check the address, which ends in /v1, and the model's name ({named})"
        if self.role == "answerer":
            return "name a model that sees images with --answerer-model"
        return "see what the endpoint's own log says"
