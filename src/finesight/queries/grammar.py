"""Takes a query apart: "a woman in a white hat beside a black dog" asks for two things.

A small grammar of its own: noun phrases between words that relate them. It splits where one region
can hardly show both, and leaves whole what one region shows (a cup of coffee, a dog in snow).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from finesight.queries import lexicon

MOST = 8
"""Parts that a query may have; one of more is left whole."""

_TOKEN = re.compile(r"[^\s,;&]+|[,;&]")
_OPENING = re.compile(rf"\s*(?:{lexicon.OPENINGS})\s+", re.IGNORECASE)
_ENDING = re.compile(rf"{lexicon.ENDINGS}\s*\.?\s*$", re.IGNORECASE)
_LONGEST = max(len(phrase.split()) for phrase in lexicon.RELATIONS)


@dataclass(frozen=True)
class Phrase:
    """One thing that is asked for: its words as typed, and those of them that say how it looks.

    wanted: False for what must not be there ("no leash").
    """

    text: str
    attributes: tuple[str, ...] = ()
    wanted: bool = True


@dataclass(frozen=True)
class Asked:
    """The things that a query asks for, and how they stand to each other.

    relations: (i, how, j): phrase i is "left", "right", "front", "behind", "above" or "below" of,
    "on" or "near" phrase j.
    """

    phrases: tuple[Phrase, ...]
    relations: tuple[tuple[int, str, int], ...] = ()


@dataclass
class _Segment:
    """Words between two separators; how: what relates them to the segment before, None at first."""

    how: str | None
    strong: bool = True
    by: str = ""
    wanted: bool = True
    words: list[str] = field(default_factory=list)

    @property
    def bare(self) -> list[str]:
        """Its words without determiners, and without what leads on to the next ones."""
        words = [word for word in self.words if word.lower() not in lexicon.DETERMINERS]
        while words and words[-1].lower() in lexicon.TRAILING | lexicon.JOINERS:
            words.pop()
        return words

    @property
    def attributes(self) -> tuple[str, ...]:
        """Its words that say how something looks; the last one names the thing itself."""
        return tuple(word for word in self.bare[:-1] if word.lower() in lexicon.ATTRIBUTES)

    @property
    def named(self) -> bool:
        """Whether it has its thing already; "black and" of a black and white dog lacks it."""
        return any(word.lower() not in lexicon.ATTRIBUTES | lexicon.JOINERS for word in self.bare)


def take_apart(text: str) -> Asked:
    """Return what a text asks for: one phrase with all of it, or several parts.

    Words keep their spelling; determiners, openings ("a photo of") and endings ("and nothing
    else") are left out of the parts.
    """
    whole = Asked((Phrase(text.strip()),))
    inner = _ENDING.sub("", _OPENING.sub("", text.strip(), count=1))
    joined = _joined(_segments(_TOKEN.findall(inner)))
    segments = [segment for segment in joined if segment.bare]
    if not 2 <= len(segments) <= MOST or not any(segment.wanted for segment in segments):
        return whole
    phrases = tuple(Phrase(" ".join(s.bare), s.attributes, s.wanted) for s in segments)
    relations = (
        (place, second.how, place + 1)
        for place, (first, second) in enumerate(pairwise(segments))
        if second.how and first.wanted and second.wanted
    )
    return Asked(phrases, tuple(relations))


def _segments(tokens: Sequence[str]) -> Iterator[_Segment]:
    """Yield the words between separators, each with the separator before it."""
    now, place = _Segment(None), 0
    while place < len(tokens):
        length, how, strong = _separator(tokens, place)
        word = tokens[place].lower()
        fresh = None
        if word in lexicon.NEGATIONS:
            fresh, length = _Segment("", by=word, wanted=False), 1
        elif length and not (how == "" and now.bare and not now.named):
            fresh = _Segment(how, strong, " ".join(tokens[place : place + length]).lower())
        elif _begins_another(now, tokens, place):
            fresh, length = _Segment("", words=[tokens[place]]), 1
        else:
            now.words.append(tokens[place])
            length = 1
        if fresh:
            yield now
            now = fresh
        place += length
    yield now


def _separator(tokens: Sequence[str], place: int) -> tuple[int, str, bool]:
    """Return how many tokens relate what is before to what follows, how, and how surely."""
    for length in range(_LONGEST, 0, -1):
        words = " ".join(tokens[place : place + length]).lower()
        if words in lexicon.RELATIONS:
            return length, lexicon.RELATIONS[words], True
    word = tokens[place].lower()
    following = tokens[place + 1].lower() if place + 1 < len(tokens) else ""
    if word in lexicon.LOOSE:
        return 1, lexicon.LOOSE[word], False
    if word.endswith("ing") and following in lexicon.DETERMINERS | lexicon.ATTRIBUTES:
        return 1, "near", False  # a verb and its object: holding a red ball
    return 0, "", False


def _begins_another(segment: _Segment, tokens: Sequence[str], place: int) -> bool:
    """Whether a word begins another thing without a separator.

    "red mug blue chair" names two things, a thing behind its attribute each; and of "no leash
    sunset" only the leash is unwanted.
    """
    if not segment.named:
        return False
    following = place + 1 < len(tokens) and not _separator(tokens, place + 1)[0]
    twice = bool(segment.attributes) and tokens[place].lower() in lexicon.BEGINNING and following
    return twice or not segment.wanted


def _joined(segments: Iterable[_Segment]) -> Iterator[_Segment]:
    """Yield segments, those that one region shows as one."""
    before: _Segment | None = None
    for segment in segments:
        if before is None:
            before = segment
        elif _worn(before, segment) or not (segment.strong or (before.bare and segment.attributes)):
            before.words += [segment.by, *segment.words]
        else:
            if not segment.strong and segment.by.endswith("ing"):
                before.words.append(segment.by)
            yield before
            before = segment
    if before is not None:
        yield before


def _worn(before: _Segment, segment: _Segment) -> bool:
    if segment.by not in lexicon.WEARING:
        return False
    person = any(word.lower() in lexicon.ANIMATE for word in before.bare)
    return person and any(word.lower() in lexicon.WORN for word in segment.bare)
