"""How a concept is put into words: "red mug", "a photo of a small red mug", "red mugs"."""

from __future__ import annotations

import re
from itertools import chain

import numpy as np

from finesight.research.training.encoder.concepts import Concept

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
    if noun.endswith("fe"):
        return noun[:-2] + "ves"
    if noun.endswith("lf"):
        return noun[:-1] + "ves"
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
