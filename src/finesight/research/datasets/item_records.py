"""What item sets are read into: photos by shops and by users, and the things in them."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from finesight.types import Box

LEVELS: Mapping[str, Mapping[int, str]] = {
    "viewpoint": {1: "no wear", 2: "frontal", 3: "side or back"},
    "occlusion": {1: "slight", 2: "medium", 3: "heavy"},
    "scale": {1: "small", 2: "modest", 3: "large"},
    "zoom_in": {1: "none", 2: "medium", 3: "large"},
}
"""DeepFashion2's levels of what makes an item hard to find, in its words."""


@dataclass(frozen=True)
class Thing:
    """A thing in a photo.

    box: normalised xyxy; identity: what it shares with photos of the very same thing, None for
    what nothing is known of; levels: by the names of LEVELS, as far as they are annotated.
    """

    category: str
    box: Box
    identity: Hashable | None = None
    levels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Photo:
    """An image file, its size in pixels, and the things in it; source: "user" or "shop"."""

    path: Path
    width: int
    height: int
    source: str
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class View:
    """One item as one photo shows it."""

    photo: Photo
    thing: Thing

    @property
    def identity(self) -> Hashable:
        """What it shares with other views of the very same thing; never None."""
        return self.thing.identity


@dataclass(frozen=True)
class ItemSet:
    """Photos of items, in order.

    problems: what was left out of them and why, in sentences; images: the folder of the files.
    """

    name: str
    images: Path
    photos: tuple[Photo, ...]
    problems: tuple[str, ...] = ()

    def views(self, source: str) -> list[View]:
        """Return the items in photos of "user"s (the queries) or of "shop"s (the gallery)."""
        return [
            View(photo, thing)
            for photo in self.photos
            if photo.source == source
            for thing in photo.things
            if thing.identity is not None
        ]

    def unmatched(self) -> list[View]:
        """Return the users' items of which there is no shop photo, so that they cannot be found."""
        sold = {view.identity for view in self.views("shop")}
        return [view for view in self.views("user") if view.identity not in sold]

    def matched(self) -> "ItemSet":
        """Return the set without the identities of unmatched items; the things themselves stay."""
        lost = {view.identity for view in self.unmatched()}
        photos = tuple(
            replace(
                photo,
                things=tuple(
                    replace(thing, identity=None) if thing.identity in lost else thing
                    for thing in photo.things
                ),
            )
            for photo in self.photos
        )
        return replace(self, photos=photos)

    def relative(self, photo: Photo) -> str:
        """Return the name of a photo's file below the folder of the set."""
        return photo.path.relative_to(self.images).as_posix()
