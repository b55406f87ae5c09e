"""Speaks to a language model behind an endpoint of OpenAI's chat completions.

On this machine or elsewhere: Ollama, vLLM, llama.cpp, LM Studio, a hosted one. Images travel inside
a message, as data URLs.
"""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from finesight.errors import InputError, need

Message = dict[str, Any]
"""One turn of a conversation: {"role": "user", "content": TEXT, or a list of texts and images}."""

T = TypeVar("T")

_CHARACTERS = 4  # of a token, where an endpoint does not count them
_LATER = (408, 409, 425, 429)  # statuses besides 5xx after which asking again may help


class NoAnswerError(Exception):
    """Why a model gave nothing that can be used, as the end of a sentence.

    again: whether asking once more may help; wait: the seconds that the endpoint asks for.
    """

    def __init__(self, reason: str, again: bool = True, wait: float | None = None) -> None:
        super().__init__(reason)
        self.again = again
        self.wait = wait


class LateAnswerError(NoAnswerError):
    """A model was too slow."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"did not answer within {round(seconds, 1):g} s")


@dataclass(frozen=True)
class ChatEndpoint:
    """A model behind an endpoint.

    url: up to /v1, such as http://localhost:11434/v1; model: its name there; key: sent as a bearer
    token where the endpoint wants one. Raises InputError for an address that is none,
    MissingDependencyError without httpx.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        if not re.match(r"https?://[^/\s]+", self.url):
            raise InputError(
                f"{self.url!r} is no address of a language model: give one such as "
                "http://localhost:11434/v1 (Ollama's)"
            )

    def ask(
        self, messages: Sequence[Message], seconds: float, max_tokens: int, temperature: float = 0.2
    ) -> tuple[str, int]:
        """Return what the model says next, and the tokens of request and answer.

        They are as the endpoint counts them, or roughly. Raises NoAnswerError, `seconds` later at
        the latest.
        """
        httpx = need_httpx()
        options = {"temperature": temperature, "max_tokens": max_tokens}
        body = {"model": self.model, "messages": list(messages), **options}
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        url = f"{self.url.rstrip('/')}/chat/completions"
        try:
            answer = httpx.post(url, json=body, headers=headers, timeout=max(seconds, 0.01))
            answer.raise_for_status()
            content = answer.json()
            text = str(content["choices"][0]["message"]["content"] or "")
            return text, _tokens(content, messages, text)
        except httpx.TimeoutException as error:
            raise LateAnswerError(seconds) from error
        except httpx.HTTPStatusError as error:
            raise _refused(error.response) from error
        except httpx.HTTPError as error:
            raise NoAnswerError(f"cannot be reached ({error})") from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise NoAnswerError("answered something that is no chat completion") from error


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what work returns, or raise NoAnswerError after so many seconds.

    A client's own limits hold for each read: an endpoint that trickles would keep them all.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(max(seconds, 0.0))
    except TimeoutError as error:
        raise LateAnswerError(seconds) from error


def without_thoughts(answer: str) -> str:
    """Return an answer without what a model thinks aloud before it, to the end or not."""
    return re.sub(r"<think>.*?(?:</think>|\Z)", "", answer, flags=re.DOTALL).strip()


def need_httpx() -> Any:
    """Return httpx; raises MissingDependencyError, with what to install, without it."""
    return need("httpx", "asking a language model needs httpx", "llm")


def _refused(response: Any) -> NoAnswerError:
    """Return what a status that is no success means."""
    status, wait = int(response.status_code), response.headers.get("retry-after", "")
    seconds = float(wait) if re.fullmatch(r"\d+(\.\d+)?", wait) else None
    return NoAnswerError(f"answered {status}", status >= 500 or status in _LATER, seconds)


def _tokens(content: Any, messages: Sequence[Message], text: str) -> int:
    """Return the tokens of a request and its answer: as counted there, else by their characters."""
    usage = content.get("usage") if isinstance(content, dict) else None
    counted = usage.get("total_tokens") if isinstance(usage, dict) else None
    if isinstance(counted, int) and counted > 0:
        return counted
    said = [text]
    for message in messages:
        parts = message["content"]
        said += [parts] if isinstance(parts, str) else [part.get("text", "") for part in parts]
    return sum(map(len, said)) // _CHARACTERS + 1
