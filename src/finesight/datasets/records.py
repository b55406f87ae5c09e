"""What every annotated dataset is read into: images with named objects in boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    without an object here (LVIS looks for a few classes an image).
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
