"""Captions of item photos from their annotations, by one template."""

import numpy as np

from finesight.errors import InputError
from finesight.research.datasets.records import LEVELS, CaptionSet, ItemSet, Photo, Thing

TEMPLATE = (
    "An image of {article} {category} with viewpoint {viewpoint}, occlusion level {occlusion}, "
    "scale {scale}, and zoom in {zoom_in}"
)
"""Of the work on X2-VLM and DeepFashion2 (METHODS.md, 5); levels stand in it in words."""


def template_caption(thing: Thing) -> str:
    """Return the sentence for one thing; a level that is not annotated is "unknown".

    >>> template_caption(Thing("umbrella", (0, 0, 1, 1), None, {"scale": 1, "viewpoint": 3}))
    'An image of an umbrella with viewpoint side or back, occlusion level unknown, scale small, \
and zoom in unknown'
    """
    words = {
        level: names.get(thing.levels.get(level, 0), "unknown") for level, names in LEVELS.items()
    }
    article = "an" if thing.category[:1].lower() in "aeiou" else "a"
    return TEMPLATE.format(article=article, category=thing.category, **words)


def described(photo: Photo) -> tuple[Thing, ...]:
    """Return the things that a photo's captions are about: its items, or all where it has none."""
    items = tuple(thing for thing in photo.things if thing.identity is not None)
    return items or photo.things


def template_captions(items: ItemSet) -> CaptionSet:
    """Return the set's photos with a caption for each of their items; photos of nothing are left
    out. Raises InputError where there is nothing to say of any.
    """
    photos = [photo for photo in items.photos if photo.things]
    if not photos:
        raise InputError(f"{items.name} has no photo with an annotated thing: nothing to caption")
    said = [[template_caption(thing) for thing in described(photo)] for photo in photos]
    owner = np.repeat(np.arange(len(photos)), [len(each) for each in said])
    names = tuple(items.relative(photo) for photo in photos)
    return CaptionSet(items.name, names, tuple(text for each in said for text in each), owner)
