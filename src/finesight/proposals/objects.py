"""Look closely where something is: one cheap look at the whole, then crops centred on things.

A thin network says where in a small canvas something may be (ScoredBoxes). The likeliest places,
overlapping ones once, are cut out of the full-resolution image with some room around them: an
object is never cut by the border of a grid, and fills its crop.
"""

import numpy as np
from PIL import Image

from finesight.boxes import suppress
from finesight.proposals.finder import Finder
from finesight.types import Float32

ROOM = 1.3  # a crop's side over the longer side of what it is centred on
TIGHT = 1.15  # the same where crops are small, and every pixel of them counts
SMALLEST = 0.03  # side of a crop over the image's


def windows_of_objects(
    image: Image.Image, finder: Finder, canvas: int, count: int, room: float = ROOM
) -> Float32:
    """Return windows (1 + n, 4) with n <= count: the whole image, then the likeliest things.

    canvas: side in pixels of the square in which things are looked for, which costs
    `finder.forward_passes(canvas)`; room: see ROOM.
    """
    guesses = finder.detect(image, canvas)
    chosen = guesses.boxes[suppress(guesses, count)]
    whole = np.array([[0, 0, 1, 1]], np.float32)
    return np.concatenate([whole, around(chosen, *image.size, room)])


def around(boxes: Float32, width: int, height: int, room: float = ROOM) -> Float32:
    """Return squares in pixels (n, 4), normalised, around boxes, moved inside the image.

    A square larger than the image's shorter side becomes as wide or high as the image there.
    """
    size = np.array([width, height], np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 * size
    longest = ((boxes[:, 2:] - boxes[:, :2]) * size).max(axis=1, initial=0)
    sides = np.maximum(longest * room, SMALLEST * size.max())[:, None]
    sides = np.minimum(sides, size)
    low = np.clip(centres - sides / 2, 0, size - sides)
    return np.concatenate([low / size, (low + sides) / size], axis=1).astype(np.float32)
