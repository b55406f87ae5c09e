"""Ways of looking by name: which windows of an image are cut out and encoded.

A fixed scheme knows its windows from the image's size; one that looks for objects needs the
pixels, and says beforehand how small a window it may cut, so that a file can be decoded smaller.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from finesight.encoders import Encoder, Preprocessing
from finesight.encoders.dense import DenseTower
from finesight.errors import InputError
from finesight.looking.objects import ROOM, SMALLEST, TIGHT, windows_of_objects
from finesight.regions import Regions, parse_regions
from finesight.types import WHOLE, Box, Float32, ImageVectors, UInt8

EFFORTS = ("low", "normal", "high")
"""How much may be spent on an image, in words."""

OF_OBJECTS = {"low": "objects128x7at40", "normal": "objects160x8", "high": "objects256x22"}
"""Efforts with a model that tells where something is: at most 8, 16 and 40 passes."""

OF_WINDOWS = {"low": "cc2", "normal": "cc3", "high": "cc4"}
"""Efforts with any other model: Complete Covers of 5, 14 and 30 passes."""

DETECT = "detect:"
"""What stands before the name of a detector (looking/detector.py)."""

_OBJECTS = re.compile(r"objects([0-9]{2,4})x([0-9]{1,3})(?:at([0-9]{2,3}))?")


@dataclass(frozen=True)
class Place:
    """Where pixels are from: an image file, and the part of it that they show."""

    path: Path
    box: Box = WHOLE


@dataclass(frozen=True)
class Glimpse:
    """What is known of an image whose crops are still to be encoded.

    boxes: (p, 4); known: the embeddings (p - c, d) of the last of them, of which there are no
    crops.
    """

    boxes: Float32
    known: Float32 | None = None

    def complete(self, embeddings: Float32) -> ImageVectors:
        """Return all regions; embeddings: of the crops, (c, d)."""
        if self.known is not None:
            embeddings = np.concatenate([embeddings, self.known])
        return ImageVectors(self.boxes, embeddings)


class Looking(Protocol):
    """One way of looking."""

    def finest(self, width: int, height: int) -> Float32:
        """Return boxes among which are the smallest that may be cut from such an image."""

    def windows(
        self, image: Image.Image, size: tuple[int, int] | None = None, place: Place | None = None
    ) -> Float32:
        """Return the boxes (p, 4) to encode, normalised xyxy, the whole image first.

        size: width and height of the file, where the image was decoded smaller; place: where it
        is from, for those who know files.
        """

    def glimpse(
        self,
        image: Image.Image,
        preprocessing: Preprocessing,
        size: tuple[int, int] | None = None,
        place: Place | None = None,
    ) -> tuple[Glimpse, UInt8]:
        """Return these boxes, and crops (c, side, side, 3) to encode; size, place: as above."""

    def passes(self, width: int, height: int) -> float:
        """Return what an image costs, in encodings of one crop."""


@dataclass(frozen=True)
class FixedLooking:
    """The windows of a geometric scheme."""

    regions: Regions

    def finest(self, width: int, height: int) -> Float32:
        """Return all of its boxes."""
        return self.regions(width, height)

    def windows(
        self, image: Image.Image, size: tuple[int, int] | None = None, place: Place | None = None
    ) -> Float32:
        """Return its boxes for an image of this size."""
        return self.regions(*(size or image.size))

    def glimpse(
        self,
        image: Image.Image,
        preprocessing: Preprocessing,
        size: tuple[int, int] | None = None,
        place: Place | None = None,
    ) -> tuple[Glimpse, UInt8]:
        """Return its boxes, all of them with crops."""
        boxes = self.windows(image, size)
        return Glimpse(boxes), preprocessing.cut(image, boxes)

    def passes(self, width: int, height: int) -> float:
        """Return the number of windows."""
        return float(len(self.regions(width, height)))


@dataclass(frozen=True)
class ObjectLooking:
    """The whole image and up to `count` windows centred on what a canvas shows.

    side: of these crops in pixels, where it is smaller than the model's own.
    """

    tower: DenseTower
    canvas: int
    count: int
    side: int | None = None

    def finest(self, width: int, height: int) -> Float32:
        """Return the smallest window that it ever cuts."""
        sides = SMALLEST * max(width, height) / np.array([width, height])
        return np.array([[0, 0, *np.minimum(sides, 1)]], np.float32)

    def windows(
        self, image: Image.Image, size: tuple[int, int] | None = None, place: Place | None = None
    ) -> Float32:
        """Return the whole image and the windows of what was found in it."""
        room = ROOM if self.side is None else TIGHT
        return windows_of_objects(image, self.tower, self.canvas, self.count, room)

    def glimpse(
        self,
        image: Image.Image,
        preprocessing: Preprocessing,
        size: tuple[int, int] | None = None,
        place: Place | None = None,
    ) -> tuple[Glimpse, UInt8]:
        """Return its boxes; small crops are encoded here, and only the whole image is left."""
        boxes = self.windows(image, size)
        if self.side is None or len(boxes) == 1:
            return Glimpse(boxes), preprocessing.cut(image, boxes)
        small = replace(preprocessing, side=self.side).cut(image, boxes[1:])
        return Glimpse(boxes, self.tower.encode(small)), preprocessing.cut(image, boxes[:1])

    def passes(self, width: int, height: int) -> float:
        """Return the most that an image costs; one with few objects costs less."""
        each = 1.0 if self.side is None else self.tower.passes(self.side)
        return 1 + self.tower.passes(self.canvas) + each * self.count


def parse_looking(name: str, dense: DenseTower | None = None) -> Looking:
    """Return the way of looking of a name: an effort, objectsSxN, or a name of `parse_regions`.

    "detect:" before a name asks a detector (looking/detector.py).

    objects160x8 looks for 8 objects in a canvas of 160 pixels, objects128x7at40 encodes them in
    crops of 40 pixels; efforts: low, normal or high.
    dense: of the model, where it has one. Raises InputError for an unknown name, and for objects
    with a model that does not tell them.
    """
    if name.startswith(DETECT):
        from finesight.looking.detector import parse_detector  # which looks by these schemes

        return parse_detector(name)
    tells = dense is not None and dense.tells_objects
    name = resolve_effort(name, dense)
    match = _OBJECTS.fullmatch(name)
    if match is None:
        return FixedLooking(parse_regions(name))
    if dense is None or not tells:
        raise InputError(
            f"{name} needs a model that tells where objects are, as the bundled mini does: "
            "use ccN, or teach the model with `finesight train objectness`"
        )
    canvas, count = int(match[1]), int(match[2])
    if canvas < dense.preprocessing.side:
        raise InputError(
            f"{name}: a canvas has at least the {dense.preprocessing.side} pixels of the "
            "model's input"
        )
    side = int(match[3]) if match[3] else None
    if side is not None and not dense.stride <= side < dense.preprocessing.side:
        raise InputError(
            f"{name}: crops have from {dense.stride} to {dense.preprocessing.side - 1} pixels; "
            "without a number, the model's own"
        )
    return ObjectLooking(dense, canvas, count, side)


def look_by(
    image: Image.Image, encoder: Encoder, looking: Looking, place: Place | None = None
) -> ImageVectors:
    """Look at one RGB image, from a place: boxes and embeddings, the whole image first."""
    glimpse, crops = looking.glimpse(image, encoder.preprocessing, place=place)
    return glimpse.complete(encoder.encode_images(crops))


def resolve_effort(name: str, dense: DenseTower | None) -> str:
    """Return the name that an effort stands for with a model; other names stay as they are.

    A detector's file or folder is named by its whole path, so that the name holds everywhere.
    """
    if name.startswith(DETECT):
        from finesight.looking.detector import Request  # which looks by these schemes

        return Request.parse(name).name()
    if name not in EFFORTS:
        return name
    return (OF_OBJECTS if dense is not None and dense.tells_objects else OF_WINDOWS)[name]


def carried_over(name: str, dense: DenseTower | None) -> str:
    """Return how another model looks in the place of one that looked by `name`.

    The same way, but with the windows of the same effort where it cannot tell objects.
    """
    if not _OBJECTS.fullmatch(name) or (dense is not None and dense.tells_objects):
        return name
    efforts = {meaning: effort for effort, meaning in OF_OBJECTS.items()}
    return OF_WINDOWS[efforts.get(name, "normal")]


def cover_for(smallest: float, effective_scale: float) -> str:
    """Return the name of the cover in which a thing of `smallest` pixels is still named.

    effective_scale: of the model, the smallest share of a crop's side that a thing may take.
    """
    if smallest < 1:
        raise InputError(f"the smallest object has at least 1 pixel, got {smallest:g}")
    return f"cover{smallest:.0f}r{max(1.1, 1 / effective_scale):.1f}"
