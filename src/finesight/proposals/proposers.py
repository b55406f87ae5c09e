"""The ways of looking: which parts of an image are cut out and encoded, or read from one canvas.

A fixed scheme knows its windows from the image's size; the others need the pixels, and say
beforehand how small a window they may cut, so that a file can be decoded smaller.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from PIL import Image

from finesight.encoders import Encoder, Preprocessing
from finesight.encoders.dense import DenseTower, PooledTower
from finesight.images.open import Picture
from finesight.proposals.coarse_to_fine import CELLS, DESCENTS, descend
from finesight.proposals.dense import read_densely
from finesight.proposals.finder import Finder
from finesight.proposals.geometry import Regions
from finesight.proposals.geometry.complete_cover import levels
from finesight.proposals.objects import ROOM, SMALLEST, TIGHT, windows_of_objects
from finesight.proposals.sparing import windows_that_add
from finesight.types import WHOLE, Float32, ImageVectors, UInt8


@dataclass(frozen=True)
class Proposals:
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


class Proposer(Protocol):
    """One way of looking."""

    def finest(self, width: int, height: int) -> Float32:
        """Return boxes among which are the smallest that may be cut from such an image."""

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return the boxes (p, 4), normalised xyxy, the whole image first, and crops to encode.

        Crops: (c, side, side, 3).
        """

    def forward_passes(self, width: int, height: int) -> float:
        """Return the most that an image costs, in encodings of one crop."""


@dataclass(frozen=True)
class GeometryProposer:
    """The windows of a geometric scheme."""

    regions: Regions

    def finest(self, width: int, height: int) -> Float32:
        """Return all of its boxes."""
        return self.regions(width, height)

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return its boxes for an image of this size, all of them with crops."""
        boxes = self.regions(*picture.size)
        return Proposals(boxes), preprocessing.cut(picture.image, boxes)

    def forward_passes(self, width: int, height: int) -> float:
        """Return the number of windows."""
        return float(len(self.regions(width, height)))


@dataclass(frozen=True)
class SparingProposer(GeometryProposer):
    """The windows of a scheme, without those that show what a larger one has shown already.

    tolerance: see `windows_that_add`.
    """

    tolerance: float

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return the boxes that add something, all of them with crops."""
        boxes = self.regions(*picture.size)
        plain = replace(preprocessing, fit="squash")
        crops = plain.cut(picture.image, boxes)
        kept = windows_that_add(boxes, crops, self.tolerance)
        if preprocessing.fit == plain.fit:
            return Proposals(boxes[kept]), crops[kept]
        return Proposals(boxes[kept]), preprocessing.cut(picture.image, boxes[kept])


@dataclass(frozen=True)
class FinderProposer:
    """The whole image and up to `count` windows centred on what a canvas shows.

    side: of these crops in pixels, where it is smaller than the model's own; the tower reads these.
    """

    finder: Finder
    canvas: int
    count: int
    side: int | None = None
    tower: PooledTower | None = None

    def finest(self, width: int, height: int) -> Float32:
        """Return the smallest window that it ever cuts."""
        sides = SMALLEST * max(width, height) / np.array([width, height])
        return np.array([[0, 0, *np.minimum(sides, 1)]], np.float32)

    def windows(self, image: Image.Image) -> Float32:
        """Return the whole image and the windows of what was found in it: (1 + n, 4)."""
        room = ROOM if self.side is None else TIGHT
        return windows_of_objects(image, self.finder, self.canvas, self.count, room)

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return its boxes; small crops are encoded here, and only the whole image is left."""
        boxes = self.windows(picture.image)
        if self.side is None or self.tower is None or len(boxes) == 1:
            return Proposals(boxes), preprocessing.cut(picture.image, boxes)
        small = replace(preprocessing, side=self.side).cut(picture.image, boxes[1:])
        left = preprocessing.cut(picture.image, boxes[:1])
        return Proposals(boxes, self.tower.encode(small)), left

    def forward_passes(self, width: int, height: int) -> float:
        """Return the most that an image costs; one with few objects costs less."""
        small = self.side is not None and self.tower is not None
        each = self.tower.forward_passes(self.side) if small else 1.0  # type: ignore[union-attr,arg-type]
        return 1 + self.finder.forward_passes(self.canvas) + each * self.count


@dataclass(frozen=True)
class CoarseToFineProposer:
    """The whole image, and windows chosen from coarse to fine; cost: of DESCENTS."""

    encoder: Encoder
    cost: int

    def finest(self, width: int, height: int) -> Float32:
        """Return a window of the finest level."""
        _, cells = max((m, j) for m, j in levels(CELLS) if m in self._levels())
        return np.array([[0, 0, cells / CELLS, cells / CELLS]], np.float32)

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return its boxes; the whole image and the windows chosen last are left to encode."""
        whole = np.array([WHOLE], np.float32)
        descent = DESCENTS[self.cost]
        last, crops, boxes, known = descend(picture.image, self.encoder.replicas[0], descent)
        left = np.concatenate([preprocessing.cut(picture.image, whole), crops])
        return Proposals(np.concatenate([whole, last, boxes]), known), left

    def forward_passes(self, width: int, height: int) -> float:
        """Return the number of windows."""
        return float(self.cost)

    def _levels(self) -> set[int]:
        return {level for level, _ in DESCENTS[self.cost].then}


@dataclass(frozen=True)
class DenseProposer:
    """The whole image, and the windows of one canvas."""

    tower: DenseTower
    canvas: int

    def finest(self, width: int, height: int) -> Float32:
        """Return a box with as many pixels of the image as the canvas gives a crop's side."""
        share = self.tower.preprocessing.side / self.canvas
        return np.array([[0, 0, share, share]], np.float32)

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return the boxes with what the map says of them; the whole image is left to encode."""
        whole = np.array([WHOLE], np.float32)
        boxes, known = read_densely(picture.image, self.tower, self.canvas)
        left = preprocessing.cut(picture.image, whole)
        return Proposals(np.concatenate([whole, boxes]), known), left

    def forward_passes(self, width: int, height: int) -> float:
        """Return the costs of the canvas and of the whole image."""
        return 1 + self.tower.forward_passes(self.canvas)
