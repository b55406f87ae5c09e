"""Windows from coarse to fine, where an image is unlike itself; without labels or training.

All windows of a coarse level of Complete Cover are encoded first. Their median is what most of the
image looks like, its background; a window far from it holds something. Windows of the finer levels
are encoded where those that were encoded around them are far from the background.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from finesight.boxes import areas, intersections
from finesight.encoders import Encoder, Preprocessing
from finesight.encoders.capabilities import Capabilities
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.proposals.geometry import complete_cover, levels
from finesight.proposals.proposer import Proposals, read_name
from finesight.types import WHOLE, Float32, UInt8

CELLS = 10
"""The cover whose levels are used: sides of 0.6, 0.4, 0.3, 0.2 and 0.1 of the image's."""


DESCENTS = {
    8: ((2, 4), (4, 3)),
    16: ((3, 9), (6, 6)),
    40: ((4, 16), (6, 14), (10, 9)),
}
"""Levels by their windows a side, and how many windows of each are encoded: all of the first.

By what they cost, the whole image included; chosen on the textured validation scenes.
"""

_CLOSER = re.compile(r"closer([0-9]{1,3})")


@dataclass(frozen=True)
class CoarseToFineProposer:
    """The whole image, and windows chosen from coarse to fine; cost: of DESCENTS."""

    encoder: Encoder
    cost: int

    def finest(self, width: int, height: int) -> Float32:
        """Return a window of the finest level."""
        finest, _ = DESCENTS[self.cost][-1]
        share = dict(levels(CELLS))[finest] / CELLS
        return np.array([[0, 0, share, share]], np.float32)

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return its boxes; the whole image and the windows chosen last are left to encode."""
        whole = np.array([WHOLE], np.float32)
        steps, encoder = DESCENTS[self.cost], self.encoder.replicas[0]
        last, crops, boxes, known = descend(picture.image, encoder, steps)
        left = np.concatenate([preprocessing.cut(picture.image, whole), crops])
        return Proposals(np.concatenate([whole, last, boxes]), known), left

    def forward_passes(self, width: int, height: int) -> float:
        """Return the number of windows."""
        return float(self.cost)


def build_coarse_to_fine(name: str, capabilities: Capabilities) -> CoarseToFineProposer:
    """Return the proposer of closerN, N of DESCENTS; needs a model's encoder.

    Raises InputError for another name, and where there is no model.
    """
    match = read_name(name, _CLOSER)
    cost = int(match[1])
    if cost not in DESCENTS:
        known = ", ".join(f"closer{each}" for each in DESCENTS)
        raise InputError(f"unknown regions {name!r}: use one of {known}")
    if capabilities.encoder is None:
        raise InputError(f"{name} chooses windows by what an encoder sees: name a model")
    return CoarseToFineProposer(capabilities.encoder, cost)


def descend(
    image: Image.Image, encoder: Encoder, steps: Sequence[tuple[int, int]]
) -> tuple[Float32, UInt8, Float32, Float32]:
    """Return boxes (m, 4) and crops of the last windows, then boxes (n, 4) and embeddings.

    The last windows are chosen and not encoded yet, so that they go with those of other images.
    """
    cover = complete_cover(*image.size, CELLS)
    sides = [windows for windows, _ in levels(CELLS)]
    level_of = np.repeat(sides, np.square(sides))
    chosen = cover[level_of == steps[0][0]]
    crops = encoder.preprocessing.cut(image, chosen)
    boxes, embeddings = chosen, encoder.encode_images(crops)
    for step, (level, count) in enumerate(steps[1:]):
        if step:
            boxes = np.concatenate([boxes, chosen])
            embeddings = np.concatenate([embeddings, encoder.encode_images(crops)])
        finer = cover[level_of == level]
        chosen = finer[np.sort(_unlike(finer, boxes, embeddings)[:count])]
        crops = encoder.preprocessing.cut(image, chosen)
    return chosen, crops, boxes, embeddings


def _unlike(finer: Float32, boxes: Float32, embeddings: Float32) -> np.ndarray:
    """Return the order of finer windows (m, 4), those first whose surroundings are unlike the rest.

    Of the windows (n, 4) that were seen, small ones and those around a finer window count most.
    """
    usual = np.median(embeddings, axis=0)
    unlike = 1 - embeddings @ usual / max(float(np.linalg.norm(usual)), 1e-9)
    shared = intersections(finer[:, None], boxes)
    weights = shared / areas(finer)[:, None] / np.sqrt(areas(boxes))
    return np.argsort(-(weights @ unlike) / weights.sum(axis=1), kind="stable")
