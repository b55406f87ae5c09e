"""What datasets are read into: images with named objects in boxes, with captions, or queries."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from finesight.errors import DataError
from finesight.types import Box

KINDS = ("raw", "similar", "fragment", "phrase", "tag")
"""The five kinds of query of Flickr30K-CFQ: two of sentences, three of what people type."""


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
