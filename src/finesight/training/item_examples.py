"""What items are learned from: things in photos, with who else shows them and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finesight.datasets import ItemSet, View
from finesight.datasets.clevr_ds import SceneSet
from finesight.datasets.item_captions import template_caption
from finesight.errors import InputError
from finesight.training.captions import article
from finesight.types import Box


@dataclass(frozen=True)
class Example:
    """One thing in one photo.

    width, height: of the photo, pixels; identity: None for a thing of which nothing is known but
    its caption; caption: None for a thing of which nothing is said.
    """

    path: Path
    width: int
    height: int
    box: Box
    source: str
    identity: Hashable | None
    caption: str | None


def examples(items: ItemSet, say: Callable[[View], str | None]) -> list[Example]:
    """Return the items of all photos, with what `say` says of them."""
    views = [*items.views("shop"), *items.views("user")]
    return [
        Example(
            view.photo.path,
            view.photo.width,
            view.photo.height,
            view.thing.box,
            view.photo.source,
            view.identity,
            say(view),
        )
        for view in views
    ]


def described(scenes: SceneSet) -> list[Example]:
    """Return the objects of rendered scenes with detailed captions and without identities."""
    return [
        Example(
            image.path,
            image.width,
            image.height,
            thing.box,
            "other",
            None,
            _sentence(thing.material, thing.color, thing.class_name),
        )
        for image in scenes.images
        for thing in image.objects
        if thing.role == "query"
    ]


def template(view: View) -> str:
    """Say an item's category and how it is seen (METHODS.md 5)."""
    return template_caption(view.thing)


def category(view: View) -> str:
    """Say an item's category alone."""
    return _sentence(view.thing.category)


def detailed(view: View) -> str:
    """Say what a rendered item is, as a person would: its material, colour and category.

    Raises InputError for items whose identity does not tell them.
    """
    match view.identity:
        case (str(name), int(), str(color), str(material)):
            return _sentence(material, color, name)
    raise InputError(
        f"{view.photo.path} does not say what colour and material its item has, as rendered items "
        "do: take captions by template, by category, or from a file"
    )


CAPTIONS: Mapping[str, Callable[[View], str]] = {
    "template": template,
    "category": category,
    "detailed": detailed,
}
"""The ways to say what an item is, by name."""


def _sentence(*words: str) -> str:
    noun = " ".join(words)
    return f"an image of {article(noun)} {noun}"


def numbered(found: Sequence[Example]) -> dict[Hashable, int]:
    """Return a number for each identity, in order."""
    known = dict.fromkeys(each.identity for each in found if each.identity is not None)
    return {identity: number for number, identity in enumerate(known)}
