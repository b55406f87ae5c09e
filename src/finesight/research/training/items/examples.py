"""What items are learned from: things in photos, who else shows them, and their captions; read."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finesight.errors import InputError
from finesight.research.datasets import clevr_ds, read_items
from finesight.research.datasets.captions import read_captions
from finesight.research.datasets.clevr_ds import SceneSet
from finesight.research.datasets.item_captions import described as caption_subjects
from finesight.research.datasets.item_captions import template_caption
from finesight.research.datasets.records import CaptionSet, ItemSet, LabelledImage, Photo, View
from finesight.research.training.encoder.captions import article
from finesight.types import Box


@dataclass(frozen=True)
class Example:
    """One thing in one photo.

    identity: None for a thing of which nothing is known but its caption; caption: None for a thing
    without one.
    """

    photo: Photo | LabelledImage
    box: Box
    identity: Hashable | None
    caption: str | None


def examples(items: ItemSet, say: Callable[[View], str | None]) -> list[Example]:
    """Return the items of all photos, with what `say` says of them."""
    views = [*items.views("shop"), *items.views("user")]
    return [Example(view.photo, view.thing.box, view.identity, say(view)) for view in views]


def described(scenes: SceneSet) -> list[Example]:
    """Return the objects of rendered scenes with detailed captions and without identities."""
    return [
        Example(image, each.box, None, _sentence(each.material, each.color, each.class_name))
        for image in scenes.images
        for each in image.objects
        if each.role == "query"
    ]


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
    "template": lambda view: template_caption(view.thing),
    "category": lambda view: _sentence(view.thing.category),
    "detailed": detailed,
}
"""The ways to say what an item is, by name: its category and how it is seen (METHODS.md 5), its
category alone, or as a person would."""


def from_captions(captions: CaptionSet, items: ItemSet) -> Callable[[View], str | None]:
    """Say what a caption file says, such as that of a dialogue; None of photos that it leaves out.

    The captions of a photo are of the things that `described` names, in order; where there are
    fewer, the first is of all of them. Raises InputError where it knows none of the photos.
    """
    said: dict[str, list[str]] = {}
    for owner, caption in zip(captions.owner.tolist(), captions.captions, strict=True):
        said.setdefault(captions.images[owner], []).append(caption)
    names = [items.relative(photo) for photo in items.photos]
    if not any(name in said for name in names):
        raise InputError(
            f"{captions.name} captions none of the photos of {items.name} (it names "
            f"{captions.images[0]}, they are such as {names[0]}): name the captions of this set"
        )

    def say(view: View) -> str | None:
        texts = said.get(items.relative(view.photo), [])
        place = caption_subjects(view.photo).index(view.thing)
        return texts[place if place < len(texts) else 0] if texts else None

    return say


def _sentence(*words: str) -> str:
    noun = " ".join(words)
    return f"an image of {article(noun)} {noun}"


def read_examples(
    datasets: Sequence[Path],
    scenes: Sequence[Path],
    captions: str,
    report: Callable[[ItemSet], None] = lambda items: None,
) -> list[Example]:
    """Return the things of shop and user photos with their captions, and those of scenes.

    scenes: rendered sets whose objects teach words alone; captions: one of CAPTIONS, or a file of
    captions; report: is called with each set, whose problems it may tell. Raises InputError where
    no item is shown twice, and for unknown captions.
    """
    found: list[Example] = []
    for place in datasets:
        items = read_items(place)
        report(items)
        found += examples(items, _caption(captions, items))
    if not any(each.identity is not None for each in found):
        raise InputError(
            f"{', '.join(map(str, datasets))}: no photo shows an item that others show too (its "
            "style is 0 everywhere): name a set with pairs"
        )
    for place in scenes:
        found += described(clevr_ds.load(place))
    return found


def _caption(captions: str, items: ItemSet) -> Callable[[View], str | None]:
    if captions in CAPTIONS:
        return CAPTIONS[captions]
    if not Path(captions).exists():
        raise InputError(
            f"unknown captions {captions!r}: use {', '.join(CAPTIONS)}, or name a file of captions"
        )
    return from_captions(read_captions(Path(captions)), items)
