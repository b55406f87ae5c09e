"""A model that is asked until it gives something that can be used, or clearly does not."""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from finesight.errors import ServiceError
from finesight.queries.chat import ChatEndpoint, Message, NoAnswerError, within
from finesight.research.captioning.budget import BudgetSpentError, Spending

_FIRST_WAIT = 1.0  # seconds before asking again, doubled each time
_LONGEST_WAIT = 30.0
_OTHERWISE = 0.7  # the temperature of further tries: at 0 the same nonsense would come again


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
            found = read(said)
            if found is not None:
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
