"""One image, described by a dialogue: a model asks, another sees and answers, the first sums up.

After ChatCaptioner (Zhu et al. 2023, "ChatGPT Asks, BLIP-2 Answers"): the asker does not see the
image, so it asks for what it lacks; the first question is always the same. Every request holds the
whole dialogue: an endpoint remembers nothing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from finesight.errors import InputError
from finesight.images.drawing import data_url
from finesight.queries.chat import Message, without_thoughts
from finesight.research.captioning.speaker import Speaker

PROMPT_VERSION = 1
"""Of the texts below: captions say with which they were made, and are not mixed."""

FIRST = "What is the main thing in this photo, and what does it look like?"
ASK = (
    "You cannot see a photo and want to describe its main thing so well that it can be told from "
    "others of its kind: what it is, its colours, material, shape and parts. You ask somebody who "
    "sees it. Ask one short question at a time, about what you do not know yet, and nothing else. "
    "When you know enough, write only DONE."
)
ANSWER = "Answer in one short sentence, by what you see in the photo. {question}"
SUM_UP = (
    "Here is what was asked and answered about a photo:\n\n{listed}\n\nWrite one sentence of at "
    "most 40 words that describes the photo, its main thing first. Keep only what was answered, "
    "leave out what is not known, and write nothing else."
)

_QUESTION, _ANSWERED, _CAPTION = 300, 600, 600  # characters, at most
_TOKENS = 1024  # at most: some models think aloud before their sentence
_DONE = re.compile(r"\bDONE\b")
_LEAD = re.compile(r"^(?:caption|summary|description)\s*:\s*", re.IGNORECASE)

Turn = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True)
class Dialogue:
    """Two models that talk about images; questions: the most that are asked about one.

    side: pixels of the longer side in which an image is sent.
    """

    asker: Speaker
    answerer: Speaker
    questions: int = 6
    side: int = 768

    def __post_init__(self) -> None:
        """Refuse a dialogue without questions."""
        if self.questions < 1:
            raise InputError(f"ask at least one question per image, got {self.questions}")

    def describe(
        self,
        image: Image.Image,
        turns: Sequence[Turn] = (),
        answered: Callable[[Turn], None] = lambda turn: None,
    ) -> tuple[str, tuple[Turn, ...]]:
        """Return a caption of an RGB image, and the dialogue that it sums up.

        turns: those that an interrupted run has had already; answered: called with every new one.
        Raises what `Speaker.say` raises.
        """
        known = list(turns)
        shown = {"type": "image_url", "image_url": {"url": data_url(image, self.side)}}
        while len(known) < self.questions and (question := self._question(known)) is not None:
            asked = {"type": "text", "text": ANSWER.format(question=question)}
            prompt = _message("user", [asked, shown])
            known.append((question, self.answerer.say([prompt], _TOKENS, read_answer)))
            answered(known[-1])
        listed = "\n".join(f"Q: {question}\nA: {answer}" for question, answer in known)
        prompt = _message("user", SUM_UP.format(listed=listed))
        return self.asker.say([prompt], _TOKENS, read_caption), tuple(known)

    def _question(self, turns: Sequence[Turn]) -> str | None:
        """Return the next question; None where the asker knows enough or repeats itself."""
        if not turns:
            return FIRST
        messages = [_message("system", ASK)]
        for question, answer in turns:
            messages += [_message("assistant", question), _message("user", answer)]
        said = self.asker.say(messages, _TOKENS, read_question)
        asked = {question.lower() for question, _ in turns}
        return None if not said or said.lower() in asked else said


def _message(role: str, content: Any) -> Message:
    return {"role": role, "content": content}


def read_question(said: str) -> str | None:
    r"""Return the question in what an asker says, "" where it is done, None where there is none.

    >>> read_question("Sure! Here is one:\nWhat colour is it?"), read_question("DONE")
    ('What colour is it?', '')
    """
    text = without_thoughts(said)
    lines = [line.strip().strip('"*- ').strip() for line in text.splitlines()]
    question = next((line for line in lines if line.endswith("?")), None)
    if question is not None and len(question) <= _QUESTION:
        return question.removeprefix("Question:").strip()
    return "" if _DONE.search(text) else None


def read_answer(said: str) -> str | None:
    """Return an answer on one line, cut where it runs on; None for one that says nothing."""
    text = " ".join(without_thoughts(said).split())
    return text[:_ANSWERED] if _is_prose(text, words=1) else None


def read_caption(said: str) -> str | None:
    """Return a caption on one line; None for one that is too short or too long to be one.

    >>> read_caption('Caption: "A red mug with a chipped rim."'), read_caption("ok")
    ('A red mug with a chipped rim.', None)
    """
    text = _LEAD.sub("", " ".join(without_thoughts(said).split())).strip().strip('"').strip()
    return text if len(text) <= _CAPTION and _is_prose(text, words=3) else None


def _is_prose(text: str, words: int) -> bool:
    """Whether a text has so many words, and is of letters more than of anything else."""
    letters = sum(each.isalpha() or each.isspace() for each in text)
    return len(text.split()) >= words and letters > len(text) / 2
