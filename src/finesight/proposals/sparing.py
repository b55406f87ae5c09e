"""Leaves out the windows of a cover that show nothing new, with a guarantee in pixels.

A window's detail is what its crop shows and the crop of a larger window around it, enlarged, does
not. Where there is none, as in sky, on a wall or in an image without more pixels, encoding the
window again tells nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from finesight.boxes import areas
from finesight.encoders import Preprocessing
from finesight.images.open import Picture
from finesight.proposals.geometry_proposer import GeometryProposer
from finesight.proposals.proposer import Proposals
from finesight.types import Float32, UInt8

CELLS = 8
"""A crop is compared in cells of 1/8 of its side, or of one pixel where it has fewer."""


@dataclass(frozen=True)
class SparingProposer(GeometryProposer):
    """The windows of a scheme, without those that show what a larger one has shown already.

    tolerance: see `windows_that_add`.
    """

    tolerance: float

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return the boxes that add something, all of them with crops."""
        boxes = self.regions(*picture.size)
        crops = replace(preprocessing, fit="squash").cut(picture.image, boxes)
        kept = windows_that_add(boxes, crops, self.tolerance)
        squashed = preprocessing.fit == "squash"
        left = crops[kept] if squashed else preprocessing.cut(picture.image, boxes[kept])
        return Proposals(boxes[kept]), left


def windows_that_add(boxes: Float32, crops: UInt8, tolerance: float) -> np.ndarray:
    """Return the indices, in order, of the windows that are to be encoded.

    boxes: (p, 4), normalised xyxy, the whole image first; crops: of each, (p, side, side, 3);
    tolerance: in grey levels of 255.
    What is guaranteed: a window that is left out lies in a larger one that is not, and in no cell
    of its crop is the mean difference to what that one's crop shows there above the tolerance
    (`detail`). So a thing that fills a cell of the window, and that the larger crop shows
    differently by more than the tolerance, is shown as closely as by the whole cover.
    """
    sizes = areas(boxes)
    kept: list[int] = []
    for index in np.argsort(-sizes, kind="stable").tolist():
        around = (k for k in kept if _inside(boxes[index], boxes[k]))
        parent = min(around, key=lambda k: float(sizes[k]), default=None)
        if parent is not None:
            shown = seen_in(boxes[index], boxes[parent], crops[parent])
            if detail(crops[index], shown) <= tolerance:
                continue
        kept.append(index)
    return np.array(sorted(kept))


def detail(crop: UInt8, shown: UInt8) -> float:
    """Return the largest mean absolute difference of two crops (side, side, 3) in any cell.

    In grey levels; the cells lie as evenly as they can.

    >>> crop = np.zeros((16, 16, 3), np.uint8)
    >>> crop[:2, :2] = 80
    >>> detail(crop, np.zeros_like(crop))
    80.0
    """
    apart = np.abs(crop.astype(np.int16) - shown).mean(axis=2)
    side = len(apart)
    starts = np.unique(np.arange(min(CELLS, side)) * side // min(CELLS, side))
    sums = np.add.reduceat(np.add.reduceat(apart, starts, axis=0), starts, axis=1)
    lengths = np.diff(np.append(starts, side))
    return float((sums / np.outer(lengths, lengths)).max())


def seen_in(box: Float32, parent: Float32, crop: UInt8) -> UInt8:
    """Return what the crop of a parent window shows of a box inside it, as large as the crop."""
    side = len(crop)
    scale = side / np.maximum(np.tile(parent[2:] - parent[:2], 2), 1e-9)
    part = np.clip((box - np.tile(parent[:2], 2)) * scale, 0, side).tolist()
    shown = Image.fromarray(crop).resize((side, side), Image.Resampling.BILINEAR, tuple(part))
    return np.asarray(shown)


def _inside(box: Float32, other: Float32) -> bool:
    slack = 1e-5  # float32 boxes that share a border
    return bool((box[:2] >= other[:2] - slack).all() and (box[2:] <= other[2:] + slack).all())
