"""Texts that people might type, where a collection has none of its own to measure with."""

from collections.abc import Sequence
from itertools import product

_THINGS = (
    "mug bottle chair table lamp book phone laptop keyboard clock plate bowl spoon knife bag "
    "backpack umbrella hat helmet shoe glove scarf jacket shirt dress watch ring glasses car truck "
    "bus bicycle motorcycle train boat plane kite ball bat racket skateboard dog cat horse cow "
    "sheep bird duck fish butterfly flower tree bush grass rock mountain river lake beach wave "
    "cloud sun moon bridge tower house door window roof fence wall stairs street sign bench bin "
    "hydrant traffic-light balloon candle cake pizza apple banana orange carrot bread cup glass "
    "person child crowd face hand map poster flag statue painting toy doll box basket rope ladder"
)
_COLORS = ("red", "blue", "green", "yellow", "white", "black")


def everyday_queries(count: int) -> list[str]:
    """Return so many texts, a thing or a thing in a colour each, always the same."""
    things = _THINGS.split()
    plain = [f"a photo of a {thing}" for thing in things]
    colored = [f"a {color} {thing}" for color, thing in product(_COLORS, things)]
    texts = [text for pair in zip(plain, colored, strict=False) for text in pair]
    texts += colored[len(plain) :]
    return [text.replace("-", " ") for text in texts[:count]]


def background_texts(
    things: Sequence[str] | None = None, colors: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return what else an image might show: every thing, and every thing in every colour.

    things and colors: those that a model knows, where it knows few; everyday ones if not given.
    """
    named = things or [thing.replace("-", " ") for thing in _THINGS.split()]
    colored = [f"{color} {thing}" for color in colors or _COLORS for thing in named]
    return (*named, *colored)
