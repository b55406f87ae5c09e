"""Look closely where something is: one cheap look at the whole, then crops centred on things.

A thin network says where in a small canvas something may be (Guesses). The likeliest places,
overlapping ones once, are cut out of the full-resolution image with some room around them: an
object is never cut by the border of a grid, and fills its crop.
"""

import numpy as np
from PIL import Image

from finesight.encoders.objects import OVERLAP, Guesses, ObjectFinder
from finesight.types import Float32

ROOM = 1.3  # a crop's side over the longer side of what it is centred on
TIGHT = 1.15  # the same where crops are small, and every pixel of them counts
SMALLEST = 0.03  # side of a crop over the image's


def windows_of_objects(
    image: Image.Image, finder: ObjectFinder, canvas: int, count: int, room: float = ROOM
) -> Float32:
    """Return windows (1 + n, 4) with n <= count: the whole image, then the likeliest things.

    canvas: side in pixels of the square in which things are looked for, which costs
    `finder.passes(canvas)`; room: see ROOM.
    """
    guesses = finder.guesses(image, canvas)
    chosen = guesses.boxes[suppress(guesses, count)]
    whole = np.array([[0, 0, 1, 1]], np.float32)
    return np.concatenate([whole, around(chosen, *image.size, room)])


def suppress(guesses: Guesses, count: int, overlap: float = OVERLAP) -> np.ndarray:
    """Return the indices of up to `count` guesses, likeliest first, none much like another."""
    boxes, left = guesses.boxes, guesses.likely.copy()
    areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6).prod(axis=1)
    kept: list[int] = []
    while len(kept) < min(count, len(boxes)) and left.max() > 0:
        best = int(left.argmax())
        kept.append(best)
        low = np.maximum(boxes[:, :2], boxes[best, :2])
        high = np.minimum(boxes[:, 2:], boxes[best, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        left[shared / (areas + areas[best] - shared) > overlap] = 0
        left[best] = 0
    return np.array(kept, int)


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
