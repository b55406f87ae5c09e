"""A model that is asked until it gives something that can be used, or clearly does not."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from finesight.errors import ServiceError
from finesight.queries.chat import ChatEndpoint, Message, NoAnswerError, Reply, within
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
        wait = _FIRST_WAIT
        for left in reversed(range(self.retries + 1)):
            if self.stop.is_set():
                raise BudgetSpentError("the run is ending")
            self.spending.begin()
            try:
                reply = self._once(messages, max_tokens, temperature)
            except NoAnswerError as error:
                self.spending.within(self.timeout)  # it may have been the budget that cut it off
                if not error.again or left == 0:
                    raise self._given_up(error) from error
                pause = min(wait if error.wait is None else error.wait, _LONGEST_WAIT)
                self.stop.wait(self.spending.within(pause))
                wait *= 2
            else:
                self.spending.count(reply.tokens)
                return reply.text
        raise AssertionError("the last try returns or raises")

    def _once(self, messages: Sequence[Message], max_tokens: int, temperature: float) -> Reply:
        seconds = self.spending.within(self.timeout)
        ask = self.endpoint.ask
        return within(seconds, lambda: ask(messages, seconds, max_tokens, temperature))

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
            return (
                f"check the address, which ends in /v1, and the model's name (--{self.role}-model)"
            )
        if self.role == "answerer":
            return "name a model that sees images with --answerer-model"
        return "see what the endpoint's own log says"
