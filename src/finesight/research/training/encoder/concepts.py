"""What can be said about a crop: concepts, which of them it shows, and how they are worded.

Content is a row of int8, one number a concept: 1 the crop shows it, 0 it does not, −1 hard to say
(an object half out of the crop, or almost too small to see).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["nothing", "part", "class", "color", "pair"]

SHOWN = 1
ABSENT = 0
UNCLEAR = -1

# An object is shown when half of its box is in the crop and it spans a sixth of the crop's side; it
# is absent when next to nothing of it is in the crop, or when it is a speck.
SHARE_SHOWN = 0.5
SHARE_ABSENT = 0.2
SPAN_SHOWN = 0.16
SPAN_ABSENT = 0.06
SLIVER_SHOWN = 0.02  # share of the crop that slivers cover when they are its subject


@dataclass(frozen=True)
class Concept:
    """One thing to say: an object's class, its colour, both, part of an object, or no object."""

    kind: Kind
    class_name: str = ""
    color: str = ""


@dataclass(frozen=True)
class Concepts:
    """All concepts over some classes and colours, in a fixed order: column i of every content."""

    classes: tuple[str, ...]
    colors: tuple[str, ...]

    @cached_property
    def all(self) -> tuple[Concept, ...]:
        """Nothing, part, every class, every colour, then every class in every colour."""
        return (
            Concept("nothing"),
            Concept("part"),
            *(Concept("class", name) for name in self.classes),
            *(Concept("color", color=color) for color in self.colors),
            *(Concept("pair", name, color) for name in self.classes for color in self.colors),
        )

    def __len__(self) -> int:
        return len(self.all)

    @property
    def first_pair(self) -> int:
        """The index of the first class in a colour."""
        return 2 + len(self.classes) + len(self.colors)

    def of(self, class_index: int, color_index: int) -> list[int]:
        """The indices of what one object is: its class, its colour, and both."""
        return [
            2 + class_index,
            2 + len(self.classes) + color_index,
            self.first_pair + class_index * len(self.colors) + color_index,
        ]

    def content(
        self, window: NDArray[np.float64], boxes: NDArray[np.float64], kinds: Sequence[list[int]]
    ) -> NDArray[np.int8]:
        """What the window (4,) shows of objects with boxes (n, 4), as int8 (concepts,).

        Boxes are xyxy in the window's unit; `kinds` holds the indices that `of` gave each object.
        """
        content = np.zeros(len(self), np.int8)
        sizes = window[2:] - window[:2]
        corner = np.maximum(boxes[:, :2], window[:2])
        visible = np.clip(np.minimum(boxes[:, 2:], window[2:]) - corner, 0, None)
        whole = (boxes[:, 2:] - boxes[:, :2]).clip(min=1e-6)
        shares = visible.prod(axis=1) / whole.prod(axis=1)
        spans = (visible / sizes).max(axis=1, initial=0)
        shown = (shares >= SHARE_SHOWN) & (spans >= SPAN_SHOWN)
        absent = (shares < SHARE_ABSENT) | (spans < SPAN_ABSENT)
        for chosen, value in ((~absent & ~shown, UNCLEAR), (shown, SHOWN)):
            for index in np.flatnonzero(chosen):
                content[kinds[index]] = value
        # Slivers of objects make "part of something"; small whole objects leave that open.
        areas = visible.prod(axis=1)
        slivers = areas[shares < SHARE_SHOWN].sum() / sizes.prod()
        if shown.any():
            content[1] = UNCLEAR if slivers > 0 else ABSENT
        elif slivers >= SLIVER_SHOWN:
            content[1] = SHOWN
        elif areas.any():
            content[:2] = UNCLEAR
        else:
            content[0] = SHOWN
        return content


# {a} the noun phrase with its article, {the} with "the", {noun} bare, {nouns} in the plural.
TEMPLATES = (
    "{noun}",
    "{a}",
    "{the}",
    "{nouns}",
    "a photo of {a}",
    "a photo of the {noun}",
    "a photo of one {noun}",
    "a photo of {a} on the ground",
    "a photo of {noun}",
    "a close-up photo of {a}",
    "a bad photo of {a}",
    "a good photo of the {noun}",
    "a blurry photo of {a}",
    "a low resolution photo of {a}",
    "a cropped photo of the {noun}",
    "a bright photo of {a}",
    "a dark photo of the {noun}",
    "a picture of {a}",
    "a picture of the {noun}",
    "an image of {a}",
    "an image of the {noun}",
    "a rendering of {a}",
    "a rendered scene with {a}",
    "an image that shows {a}",
    "a scene with {a} in it",
    "there is {a}",
    "there is {a} in the image",
    "this is {a}",
    "one {noun}",
    "some {noun}",
    "my {noun}",
    "find {a}",
    "show me {a}",
    "photos of {nouns}",
    "pictures of {nouns}",
    "images with {nouns}",
    "images of {a}",
)
SIZES = ("small", "tiny", "little", "large", "big")  # about the photographed thing, not its pixels
OBJECTS = ("thing", "object", "item", "toy")
NOTHING = (
    "nothing",
    "empty ground",
    "the empty floor",
    "a photo of nothing",
    "the ground",
    "an image of the empty ground",
    "background",
    "a photo of the floor",
    "no object",
)
PARTS = (
    "part of something",
    "a part of an object",
    "a fragment of something",
    "a piece of a thing",
    "a photo of a part of an object",
    "the edge of something",
    "a cropped part of something",
)
# Said with a vowel or a consonant against their spelling.
SPOKEN_CONSONANT = re.compile(r"(uni|use|eu|one\b)")
SPOKEN_VOWEL = re.compile(r"(hour|honest|heir)")
UNKNOWN_SHARE = 0.05  # of the captions get an unknown word, so that one does little harm
UNKNOWN = "[UNK]"


def caption(concept: Concept, rng: np.random.Generator) -> str:
    """Say the concept in one of many ways; the generator alone decides which."""
    if concept.kind == "nothing":
        return str(rng.choice(NOTHING))
    if concept.kind == "part":
        return str(rng.choice(PARTS))
    words = [concept.color, concept.class_name or str(rng.choice(OBJECTS))]
    if rng.random() < 0.2:
        words.insert(0, str(rng.choice(SIZES)))
    if rng.random() < UNKNOWN_SHARE:
        words.insert(0, UNKNOWN)
    return fill(TEMPLATES[rng.integers(len(TEMPLATES))], " ".join(filter(None, words)))


def fill(template: str, noun: str) -> str:
    """Put a noun phrase into a template, with its article or in the plural as the template asks."""
    return template.format(
        noun=noun, a=f"{article(noun)} {noun}", the=f"the {noun}", nouns=plural(noun)
    )


def article(noun: str) -> str:
    """The indefinite article by sound: "a mug", "an hourglass", "a unicycle"."""
    if SPOKEN_CONSONANT.match(noun):
        return "a"
    return "an" if noun[0] in "aeiou" or SPOKEN_VOWEL.match(noun) else "a"


def plural(noun: str) -> str:
    """The plural of the last word: "red mugs", "boxes", "berries", "knives", "headphones"."""
    if noun.endswith("s") and not noun.endswith(("ss", "us", "is")):
        return noun
    if noun.endswith(("fe", "lf")):
        return noun.removesuffix("e").removesuffix("f") + "ves"
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return noun[:-1] + "ies"
    return noun + "s"


def words(classes: tuple[str, ...], colors: tuple[str, ...]) -> list[str]:
    """Every word that a caption over these classes and colours can hold, sorted."""
    nouns = (*classes, *OBJECTS, *colors, *SIZES)
    said = chain(
        (fill(template, "object") for template in TEMPLATES),
        (form for noun in nouns for form in (noun, plural(noun))),
        NOTHING,
        PARTS,
        ("an",),
    )
    return sorted({word for text in said for word in re.findall(r"[^\W_]+", text.lower())})
