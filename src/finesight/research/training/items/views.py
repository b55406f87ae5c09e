"""Views of items to train on: parts of photos around a thing, spoiled as users' photos are.

A view is cut as a region is encoded later: a window, not always square, squashed to a square.
View number i of a seed is always the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from finesight.encoders.preprocessing import Preprocessing
from finesight.images.open import decode_image
from finesight.research.datasets.image_files import read_annotated
from finesight.research.datasets.records import View
from finesight.research.training.encoder.crops import Window, cut
from finesight.research.training.items.examples import Example
from finesight.types import Box, Float32, UInt8

AROUND = 0.6  # of the box's sides, kept on each side of it where the photo goes on
LARGEST = 192  # pixels of a kept part's longer side; views are smaller

LOOSE_SHARE = 0.4  # of the views show more than the box, the others the box with its edges moved
LOOSE_FILL = (0.45, 1.0)  # the box's sides over the view's
MOVED = (-0.12, 0.2)  # of the sides, outwards
HALVED_SHARE = 0.5  # of the views miss a part, as if the photo ended there
HALVED = (0.15, 0.65)
BLURRED_SHARE = 0.4  # lose detail, as if the thing had been only a few pixels large
BLURRED_SIDES = (10, 48)
COVERED_SHARE = 0.4  # have a part covered by something else
COVERED_SIDES = (0.25, 0.75)


@dataclass(frozen=True)
class Part:
    """What is kept of a photo: the part around one object, and its box there, in pixels."""

    image: Image.Image
    box: Window


@dataclass(frozen=True)
class Views:
    """Pixels (b, side, side, 3) in uint8, boxes (b, 4) in the views, and which are loose (b,).

    Views that are not loose show their object and nothing else, as a region does.
    """

    pixels: UInt8
    boxes: Float32
    loose: NDArray[np.bool_]


def keep_parts(found: Sequence[Example]) -> list[Part]:
    """Decode photos and keep the part around each object; a photo of many is decoded once.

    Raises DataError for a file that cannot be read or has another size than its annotation says.
    """
    parts: list[Part] = []
    for _, of_one in groupby(found, lambda example: example.photo.path):
        examples = list(of_one)
        photo = examples[0].photo
        image = read_annotated(photo.path, photo.width, photo.height)
        parts += [_part(image, example.box) for example in examples]
    return parts


def _part(image: Image.Image, inside: Box) -> Part:
    size = np.array(image.size * 2, float)
    box = np.array(inside) * size
    sides = np.tile(box[2:] - box[:2], 2)
    window = np.clip(box + AROUND * sides * [-1, -1, 1, 1], 0, size)
    left, top = np.floor(window[:2]).astype(int).tolist()
    right, bottom = np.ceil(window[2:]).astype(int).tolist()
    part = image.crop((left, top, right, bottom))
    box = box - [left, top, left, top]
    factor = LARGEST / max(part.size)
    if factor >= 1:
        return Part(part, box)
    shape = (max(1, round(part.width * factor)), max(1, round(part.height * factor)))
    shrunk = part.resize(shape, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return Part(shrunk, box * np.tile(np.array(shrunk.size) / np.array(part.size), 2))


def box_crops(views: Sequence[View], preprocessing: Preprocessing) -> UInt8:
    """Cut each item's box out of its photo, as a region is cut: (n, side, side, 3)."""
    crops = np.empty((len(views), preprocessing.side, preprocessing.side, 3), np.uint8)
    path, image = None, Image.new("RGB", (1, 1))
    for place, view in enumerate(views):
        if view.photo.path != path:  # several of one photo follow each other
            path, image = view.photo.path, decode_image(view.photo.path.read_bytes())
        crops[place] = preprocessing.cut(image, np.array([view.thing.box], np.float32))[0]
    return crops


class ViewSampler:
    """Draws views of parts; round and number decide everything in a view."""

    def __init__(self, parts: Sequence[Part], side: int, seed: int) -> None:
        self.parts, self.side, self.seed = parts, side, seed

    def views(self, numbers: Sequence[int], round_: int) -> Views:
        """Return a view of each of some parts, by number; each round shows them differently."""
        found = [self._view(int(i), np.random.default_rng([self.seed, round_, i])) for i in numbers]
        pixels, boxes, loose = zip(*found, strict=True)
        return Views(np.stack(pixels), np.stack(boxes).astype(np.float32), np.array(loose))

    def _view(self, number: int, rng: np.random.Generator) -> tuple[UInt8, Window, bool]:
        part = self.parts[number]
        loose = bool(rng.random() < LOOSE_SHARE)
        window = _loose(part, rng) if loose else _tight(part, rng)
        through = int(rng.integers(*BLURRED_SIDES)) if rng.random() < BLURRED_SHARE else None
        pixels = cut(part.image, window, self.side, through)
        if rng.random() < COVERED_SHARE:
            pixels = self._covered(pixels, rng)
        sides = np.tile(window[2:] - window[:2], 2)
        box = np.clip((part.box - np.tile(window[:2], 2)) / sides, 0, 1)
        if rng.random() < 0.5:
            pixels, box = pixels[:, ::-1], np.array([1 - box[2], box[1], 1 - box[0], box[3]])
        return np.ascontiguousarray(pixels), box, loose

    def _covered(self, pixels: UInt8, rng: np.random.Generator) -> UInt8:
        """Put a piece of another photo, or plain colour, over a part of a view."""
        height, width = (int(n) for n in rng.uniform(*COVERED_SIDES, 2) * self.side)
        # From beyond the edges, where what stands before a thing usually enters the picture.
        left = int(rng.integers(-width // 2, self.side - width // 2))
        top = int(rng.integers(-height // 3, self.side - height // 2))
        place = (slice(max(0, top), top + height), slice(max(0, left), left + width))
        shape = pixels[place].shape
        changed = pixels.copy()
        if rng.random() < 0.5:
            other = self.parts[int(rng.integers(len(self.parts)))].image
            piece = ImageOps.fit(other, (shape[1], shape[0]), Image.Resampling.BILINEAR)
            changed[place] = np.asarray(piece)
        else:
            changed[place] = rng.integers(0, 256, 3)
        return changed


def _tight(part: Part, rng: np.random.Generator) -> Window:
    """The box with its edges moved, and sometimes without one of its ends."""
    sides = np.tile(part.box[2:] - part.box[:2], 2)
    moved = part.box + rng.uniform(*MOVED, 4) * sides * [-1, -1, 1, 1]
    if rng.random() < HALVED_SHARE:
        edge = int(rng.integers(4))
        moved[edge] += rng.uniform(*HALVED) * sides[edge] * (1 if edge < 2 else -1)
    return _inside(moved, part)


def _loose(part: Part, rng: np.random.Generator) -> Window:
    """A window that holds the box and some of what is around it."""
    sides = part.box[2:] - part.box[:2]
    larger = sides / rng.uniform(*LOOSE_FILL, 2)
    corner = part.box[:2] - (larger - sides) * rng.uniform(0, 1, 2)
    return _inside(np.concatenate([corner, corner + larger]), part)


def _inside(window: Window, part: Part) -> Window:
    """Bring a window into its part, of two pixels at least."""
    size = np.array(part.image.size, float)
    low = np.clip(window[:2], 0, size - 2)
    high = np.clip(window[2:], low + 2, size)
    return np.concatenate([low, high])
