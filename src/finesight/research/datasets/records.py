"""What datasets are read into: objects in boxes, captions, queries, items in photos."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from finesight.errors import DataError
from finesight.types import Box

KINDS = ("raw", "similar", "fragment", "phrase", "tag")
"""The five kinds of query of Flickr30K-CFQ: two of sentences, three of what people type."""

LEVELS: Mapping[str, Mapping[int, str]] = {
    "viewpoint": {1: "no wear", 2: "frontal", 3: "side or back"},
    "occlusion": {1: "slight", 2: "medium", 3: "heavy"},
    "scale": {1: "small", 2: "modest", 3: "large"},
    "zoom_in": {1: "none", 2: "medium", 3: "large"},
}
"""DeepFashion2's levels of what makes an item hard to find, in its words."""


@dataclass(frozen=True)
class LabelledObject:
    """One annotated object.

    box: normalised xyxy; share: its visible pixels / image pixels, or its box's area where no
    outline is known; role: "query", or "distractor" for what may not be asked for.
    """

    class_name: str
    box: Box
    share: float
    role: str = "query"


@dataclass(frozen=True)
class LabelledImage:
    """One image file, its size in pixels and its objects.

    absent: the classes that were looked for and not found; None where that holds for every class
    without an object here (LVIS looks for a few classes per image).
    """

    path: Path
    width: int
    height: int
    objects: Sequence[LabelledObject]
    absent: frozenset[str] | None = None


@dataclass(frozen=True)
class LabelledSet:
    """The images of a dataset in order, and the names of all its classes.

    never_named: classes that no fusion's training or validation may name.
    """

    classes: tuple[str, ...]
    images: Sequence[LabelledImage]
    never_named: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaptionSet:
    """Images and sentences, each of which was written for one of them.

    name: what the set is called in tables and messages; images: (n,) file names, all different,
    below the folder of the images; captions: (t,) texts; owner: (t,) int64, for each caption the
    index of its image; more: (m, 2) int64, further pairs (image, caption) that are true, where the
    set says so; image_ids and caption_ids: the set's own numbers, (n,) and (t,), or empty.
    Raises DataError for records that do not belong together.
    """

    name: str
    images: tuple[str, ...]
    captions: tuple[str, ...]
    owner: np.ndarray
    more: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int64))
    image_ids: tuple[int, ...] = ()
    caption_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if problem := next(self._problems(), None):
            raise DataError(f"{self.name}{problem}")

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong, as it goes on behind the name; the first may cause the others."""
        n, t = len(self.images), len(self.captions)
        if not n or not t:
            yield f" has {n} images and {t} captions: both are needed"
        if len(set(self.images)) < n:
            yield f" names the image {Counter(self.images).most_common(1)[0][0]} more than once"
        if self.owner.shape != (t,) or self.owner.dtype != np.int64:
            got = f"{self.owner.dtype} of shape {self.owner.shape}"
            yield f": {t} captions need an int64 owner each, got {got}"
        if self.more.shape != (len(self.more), 2) or self.more.dtype != np.int64:
            got = f"{self.more.dtype} of shape {self.more.shape}"
            yield f": further true pairs have the shape (m, 2) and int64, got {got}"
        for what, indices, count in (
            ("owner", self.owner, n),
            ("true image", self.more[:, 0], n),
            ("true caption", self.more[:, 1], t),
        ):
            wrong = indices[(indices < 0) | (indices >= count)]
            if wrong.size:
                yield f": the {what} {wrong[0]} is not among the {count} there are"
        for what, ids, count in (("images", self.image_ids, n), ("captions", self.caption_ids, t)):
            if ids and not len(set(ids)) == len(ids) == count:
                yield f": {count} {what} need as many different ids, got {len(set(ids))}"
        for i, text in enumerate(self.captions):
            if not text.strip():
                yield f": caption {i}, of {self.images[self.owner[i]]}, is empty"

    def relevant(self) -> np.ndarray:
        """Return which captions are true of which images as far as is known: (n, t) bool."""
        found = np.zeros((len(self.images), len(self.captions)), bool)
        found[self.owner, np.arange(len(self.captions))] = True
        found[self.more[:, 0], self.more[:, 1]] = True
        return found


@dataclass(frozen=True)
class Judgements:
    """Which answers were judged true, for some of a caption set's images and captions.

    name: what they are called in tables; images: (q,) int64, the images that are asked for, and
    i2t: (q, t) bool, the captions that are true of each; texts: (r,) int64, the captions that are
    asked for, and t2i: (r, n) bool, the images that each is true of.
    """

    name: str
    images: np.ndarray
    i2t: np.ndarray
    texts: np.ndarray
    t2i: np.ndarray


@dataclass(frozen=True)
class TypedQuery:
    """One query: its kind, of KINDS, its text as typed, and the ids of all relevant images."""

    kind: str
    text: str
    relevant: frozenset[str]


@dataclass(frozen=True)
class TypedQueries:
    """Queries over a gallery of images, by their ids; folds: lists of indices of queries."""

    queries: tuple[TypedQuery, ...]
    images: tuple[str, ...]
    folds: tuple[tuple[int, ...], ...] = ()

    def of(self, kind: str) -> Sequence[TypedQuery]:
        """Return the queries of one kind, in their order."""
        return [query for query in self.queries if query.kind == kind]


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

        def kept(thing: Thing) -> Thing:
            return replace(thing, identity=None) if thing.identity in lost else thing

        photos = (replace(photo, things=tuple(map(kept, photo.things))) for photo in self.photos)
        return replace(self, photos=tuple(photos))

    def relative(self, photo: Photo) -> str:
        """Return the name of a photo's file below the folder of the set."""
        return photo.path.relative_to(self.images).as_posix()
