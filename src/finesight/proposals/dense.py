"""Many windows in one forward pass: an image as one larger canvas."""

import re
from dataclasses import dataclass

import numpy as np

from finesight.encoders import Preprocessing
from finesight.encoders.capabilities import Capabilities
from finesight.encoders.dense import DenseTower
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.proposals.proposer import Proposals, read_name
from finesight.types import WHOLE, Float32, UInt8

_DENSE = re.compile(r"dense([0-9]{2,4})")


@dataclass(frozen=True)
class DenseProposer:
    """The whole image, and the windows of one canvas.

    canvas: side in pixels of the square that the image is squashed to.
    """

    tower: DenseTower
    canvas: int

    def finest(self, width: int, height: int) -> Float32:
        """Return a box with as many pixels of the image as the canvas gives a crop's side."""
        share = self.tower.preprocessing.side / self.canvas
        return np.array([[0, 0, share, share]], np.float32)

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return the boxes with what the map says of them; the whole image is left to encode."""
        whole = np.array([WHOLE], np.float32)
        side, stride = self.tower.preprocessing.side, self.tower.stride
        resample = self.tower.preprocessing.resample
        pixels = np.asarray(picture.image.resize((self.canvas, self.canvas), resample))
        # Windows as large as the tower's input: they show a thing as large as a crop of that size.
        cells = min(max(1, round(side / stride)), self.canvas // stride)
        boxes, known = self.tower.read(pixels, [cells])
        left = preprocessing.cut(picture.image, whole)
        return Proposals(np.concatenate([whole, boxes]), known), left

    def forward_passes(self, width: int, height: int) -> float:
        """Return the costs of the canvas and of the whole image."""
        return 1 + self.tower.forward_passes(self.canvas)


def build_dense(name: str, capabilities: Capabilities) -> DenseProposer:
    """Return the proposer of denseS, S the side of the canvas; needs a model's dense tower.

    Raises InputError for a name or a model with which that cannot be done.
    """
    match = read_name(name, _DENSE)
    canvas, tower = int(match[1]), capabilities.dense
    if tower is None:
        raise InputError(
            f"{name} needs a model that reads windows out of one canvas: mini, or a bundle that "
            "`finesight export --dense` wrote"
        )
    if canvas < tower.preprocessing.side or canvas % tower.stride:
        raise InputError(
            f"{name}: a canvas has at least the {tower.preprocessing.side} pixels of the model's "
            f"input, and a multiple of {tower.stride}"
        )
    return DenseProposer(tower, canvas)
