"""Asks a language model what a query means: descriptions of images that would answer it.

The model is behind an endpoint that speaks OpenAI's chat completions, on this machine or elsewhere
(Ollama, vLLM, llama.cpp, LM Studio, a hosted one). Only the words of the query are sent.
"""

import hashlib
import json
import re
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from finesight.files import write_atomic
from finesight.queries import chat

PROMPT_VERSION = 1
"""Of the two prompts below: descriptions are kept by it, and asked for again when it rises."""

EXPAND = (
    "You help to search photos by text. Write {count} short descriptions of photos that answer the "
    "query below, each of at most 20 words, in simple English. Keep every thing, colour, number "
    "and relation of the query, and add none. Say it in other words, and describe each thing of "
    "the query once on its own. Write one description a line and nothing else.\n\nQuery: {query}"
)
CHECK = (
    "Query: {query}\n\nDescriptions:\n{listed}\n\nWhich of the descriptions can be true of every "
    "photo that the query means, because they neither contradict it nor add to it? Write their "
    "numbers, separated by commas, and nothing else."
)

_LONGER = "(give it longer with --llm-timeout; what it has answered once is kept)"
_LONGEST = 300  # characters of a description
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.):])\s*")


class NotEnhancedWarning(UserWarning):
    """A language model did not answer, and a query is searched as typed."""


@dataclass(frozen=True)
class LanguageModel:
    """A language model behind an endpoint.

    url: up to /v1, such as http://localhost:11434/v1; model: its name there; key: sent as a bearer
    token where the endpoint wants one. count: of descriptions; check: whether a second question
    sorts out those that miss what is meant; timeout: in seconds, for all of it; cache: the folder
    where descriptions are kept.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    count: int = 8
    check: bool = False
    timeout: float = 2.0
    cache: Path | None = None

    def describe(self, query: str) -> list[str]:
        """Return descriptions of what a query means; none, with a NotEnhancedWarning, in time.

        A query that was asked before is answered from the disk. Raises InputError for an address
        that is none, MissingDependencyError without httpx.
        """
        endpoint = chat.ChatEndpoint(self.url, self.model, self.key)
        file = None
        if self.cache is not None:
            asked = [PROMPT_VERSION, self.model, self.count, self.check, query]
            digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
            file = self.cache / f"{digest[:32]}.json"
            # Not there, or damaged: asked again.
            with suppress(OSError, ValueError, KeyError, TypeError):
                kept = json.loads(file.read_text(encoding="utf-8"))["descriptions"]
                return [str(text) for text in kept]
        chat.need_httpx()
        deadline = time.monotonic() + self.timeout

        def ask(prompt: str) -> str:
            message, left = {"role": "user", "content": prompt}, deadline - time.monotonic()
            return endpoint.ask([message], left, 60 * self.count)[0]

        try:
            found = chat.within(self.timeout, lambda: self._ask_all(query, ask))
        except chat.NoAnswerError as error:
            late = isinstance(error, chat.LateAnswerError)
            reason = f"{chat.LateAnswerError(self.timeout)} {_LONGER}" if late else error
            warnings.warn(
                f"the language model {self.model} at {self.url} {reason}: searching as typed",
                NotEnhancedWarning,
                stacklevel=2,
            )
            return []
        if file is not None and found:
            content = {"query": query, "model": self.model, "descriptions": found}
            with suppress(OSError):  # a disk that is full or closed only costs the next question
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(file, json.dumps(content))
        return found

    def _ask_all(self, query: str, ask: Callable[[str], str]) -> list[str]:
        """Return the descriptions that are left; ask: what the model says to a prompt."""
        found = _lines(ask(EXPAND.format(count=self.count, query=query)), self.count)
        if not found:
            raise chat.NoAnswerError("gave no descriptions")
        if not self.check:
            return found
        listed = "\n".join(f"{number}. {text}" for number, text in enumerate(found, 1))
        kept = ask(CHECK.format(query=query, listed=listed))
        numbers = {int(number) for number in re.findall(r"\d+", kept)}
        return [text for number, text in enumerate(found, 1) if number in numbers]


def _lines(answer: str, count: int) -> list[str]:
    """Return the descriptions of an answer, without numbers, bullets and quotes, each once."""
    said = chat.without_thoughts(answer).splitlines()
    lines = (_BULLET.sub("", line).strip().strip('"').strip() for line in said)
    kept = [line for line in lines if 0 < len(line) <= _LONGEST and not line.endswith(":")]
    return list(dict.fromkeys(kept))[:count]
