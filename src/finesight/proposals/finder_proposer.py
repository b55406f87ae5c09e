"""Crops centred on what the finder sees: one cheap pass over the whole image, then its things.

The finder says where in a small canvas something may be (ScoredBoxes). The likeliest places,
overlapping ones once, are cut out of the full-resolution image with some room around them: an
object is never cut by the border of a grid, and fills its crop.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from finesight.boxes import squares_around, suppress
from finesight.encoders import Preprocessing
from finesight.encoders.capabilities import Capabilities
from finesight.encoders.dense import PooledTower
from finesight.encoders.finder import COARSEST, Finder
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.proposals.proposer import Proposals, read_name
from finesight.types import WHOLE, Float32, UInt8

ROOM = 1.3  # a crop's side over the longer side of what it is centred on
TIGHT = 1.15  # the same where crops are small, and every pixel of them counts
SMALLEST = 0.03  # side of a crop over the image's

OBJECTS = re.compile(r"objects([0-9]{2,4})x([0-9]{1,3})(?:at([0-9]{2,3}))?")
"""The names of this kind: pixels of the canvas, number of crops, and the pixels of small ones."""


@dataclass(frozen=True)
class FinderProposer:
    """The whole image and up to `count` windows centred on what a canvas shows.

    side: of these crops in pixels, where it is smaller than the model's own, for a tower to read.
    """

    finder: Finder
    canvas: int
    count: int
    side: int = 0
    tower: PooledTower | None = None

    def finest(self, width: int, height: int) -> Float32:
        """Return the smallest window that it ever cuts."""
        sides = SMALLEST * max(width, height) / np.array([width, height])
        return np.array([[0, 0, *np.minimum(sides, 1)]], np.float32)

    def found(self, image: Image.Image) -> Float32:
        """Return the boxes (n, 4) of the likeliest things, best first; n is at most `count`."""
        scored = self.finder.detect(image, self.canvas)
        return scored.boxes[suppress(scored, self.count)]

    def windows(self, image: Image.Image) -> Float32:
        """Return the whole image and a window around each thing that was found: (1 + n, 4)."""
        room = TIGHT if self.tower else ROOM
        windows = squares_around(self.found(image), *image.size, room, SMALLEST)
        return np.concatenate([np.array([WHOLE], np.float32), windows])

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return its boxes; small crops are encoded here, and only the whole image is left."""
        boxes = self.windows(picture.image)
        if self.tower is None or len(boxes) == 1:
            return Proposals(boxes), preprocessing.cut(picture.image, boxes)
        small = replace(preprocessing, side=self.side).cut(picture.image, boxes[1:])
        left = preprocessing.cut(picture.image, boxes[:1])
        return Proposals(boxes, self.tower.encode(small)), left

    def forward_passes(self, width: int, height: int) -> float:
        """Return the most that an image costs; one with few objects costs less."""
        each = self.tower.forward_passes(self.side) if self.tower else 1.0
        return 1 + self.finder.forward_passes(self.canvas) + each * self.count


def build_finder(name: str, capabilities: Capabilities) -> FinderProposer:
    """Return the proposer of objectsSxN or objectsSxNatP; needs a model with a finder.

    Raises InputError for a name or a model with which that cannot be done.
    """
    match = read_name(name, OBJECTS)
    canvas, count = int(match[1]), int(match[2])
    if capabilities.objects is None:
        raise InputError(
            f"{name} needs a model that tells where objects are, as the bundled mini does: "
            "use ccN, or teach the model with `finesight train finder`"
        )
    if canvas % COARSEST:
        raise InputError(f"{name}: a canvas has a multiple of {COARSEST} pixels a side")
    if not match[3]:
        return FinderProposer(capabilities.objects, canvas, count)
    side, tower = int(match[3]), capabilities.dense
    if not isinstance(tower, PooledTower):
        raise InputError(f"{name}: this model's crops have one size; use objects{canvas}x{count}")
    if not tower.stride <= side < tower.preprocessing.side:
        raise InputError(
            f"{name}: crops have from {tower.stride} to {tower.preprocessing.side - 1} pixels; "
            "without a number, the model's own"
        )
    return FinderProposer(capabilities.objects, canvas, count, side, tower)
