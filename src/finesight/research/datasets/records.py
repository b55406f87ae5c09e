"""What every dataset is read into: images with named objects in boxes, or with captions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from finesight.errors import DataError
from finesight.types import Box


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
        if not self.images or not self.captions:
            raise DataError(
                f"{self.name} has {len(self.images)} images and {len(self.captions)} captions: "
                "both are needed"
            )
        if len(set(self.images)) < len(self.images):
            twice = Counter(self.images).most_common(1)[0][0]
            raise DataError(f"{self.name} names the image {twice} more than once")
        if self.owner.shape != (len(self.captions),) or self.owner.dtype != np.int64:
            raise DataError(
                f"{self.name}: {len(self.captions)} captions need an int64 owner each, got "
                f"{self.owner.dtype} of shape {self.owner.shape}"
            )
        if self.more.ndim != 2 or self.more.shape[1] != 2 or self.more.dtype != np.int64:
            raise DataError(
                f"{self.name}: further true pairs have the shape (m, 2) and int64, got "
                f"{self.more.dtype} of shape {self.more.shape}"
            )
        for what, indices, count in (
            ("owner", self.owner, len(self.images)),
            ("true image", self.more[:, 0], len(self.images)),
            ("true caption", self.more[:, 1], len(self.captions)),
        ):
            wrong = (indices < 0) | (indices >= count)
            if wrong.any():
                raise DataError(
                    f"{self.name}: the {what} {indices[wrong][0]} is not among the {count} there "
                    "are"
                )
        for what, ids, count in (
            ("images", self.image_ids, len(self.images)),
            ("captions", self.caption_ids, len(self.captions)),
        ):
            if ids and not len(set(ids)) == len(ids) == count:
                raise DataError(
                    f"{self.name}: {count} {what} need as many different ids, got {len(set(ids))}"
                )
        empty = next((i for i, text in enumerate(self.captions) if not text.strip()), None)
        if empty is not None:
            raise DataError(
                f"{self.name}: caption {empty}, of {self.images[self.owner[empty]]}, is empty"
            )

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
