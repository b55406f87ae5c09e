"""Square crops of rendered scenes with what each of them shows: the small model's training images.

A crop is cut as a region is later: one antialiased bicubic resize of a window to a
square. Windows are xyxy in pixels. Batch number i of a seed is always the same, so that training
can go on where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finesight.errors import DataError
from finesight.research.datasets import clevr_ds
from finesight.research.training.encoder.concepts import Concepts
from finesight.types import WHOLE, UInt8

# Which windows: around an object, exactly an object's box, as Complete Cover would place them
# (mostly ground, or several objects), or across an object's edge.
KINDS = ("object", "box", "cover", "edge")
KIND_SHARES = (0.46, 0.06, 0.36, 0.12)
SHEET_SHARE = 0.5  # of the windows around objects come from object sheets, where there are any
FILL = (0.17, 1.4)  # the object's longer side over the crop's side, log-uniform
COVER_SIDES = (0.1, 0.2, 0.3, 0.4, 0.6, 1.0)  # over the image's side: the levels of CC@10
COVER_SHARES = (0.3, 0.2, 0.16, 0.12, 0.1, 0.12)
BLURRED_SHARE = 0.12  # of the crops lose detail, as if the object had been only a few pixels large
BLURRED_SIDES = (16, 44)


Window = NDArray[np.float64]
"""A window or a box (4,), xyxy in pixels."""


@dataclass(frozen=True)
class Scene:
    """One decoded image: boxes (n, 4) in pixels, what each object is, and where crops may reach.

    `kinds` holds each object's concepts; `limits` (n, 4) is the whole image, or on an object sheet
    the object's own cell.
    """

    image: Image.Image
    boxes: NDArray[np.float64]
    kinds: list[list[int]]
    limits: NDArray[np.float64]
    sheet: bool


@dataclass(frozen=True)
class Rendered:
    """Decoded scenes for training and for validation, and what can be said about them.

    sources: what each folder was rendered from, the validation folder last.
    """

    training: list[Scene]
    validation: list[Scene]
    concepts: Concepts
    sources: list[dict[str, Any]]


def load_rendered(training: Sequence[Path], validation: Path) -> Rendered:
    """Decode every image of the folders; one of 640 × 640 pixels takes 1.6 MB of memory.

    The training folders decide what can be said. Raises DataError when a validation object is
    something else, when there is no object at all, or for an image that cannot be read.
    """
    sets = [clevr_ds.load(folder) for folder in training]
    concepts = Concepts(
        tuple(dict.fromkeys(name for each in sets for name in each.classes)),
        tuple(dict.fromkeys(color for each in sets for color in each.colors)),
    )
    held_out = clevr_ds.load(validation)
    if unknown := {*held_out.classes, *held_out.colors} - {*concepts.classes, *concepts.colors}:
        raise DataError(
            f"{validation} has classes or colours that no training set has "
            f"({', '.join(sorted(unknown))}): train and validate on sets of the same finesight"
        )
    scenes = [_decode(image, concepts) for each in sets for image in each.images]
    checks = [_decode(image, concepts) for image in held_out.images]
    for folders, found in ((training, scenes), ([validation], checks)):
        if not any(len(scene.boxes) for scene in found):
            raise DataError(f"no image of {', '.join(map(str, folders))} has an object in it")
    # What a set was rendered from: with this, `finesight render` makes it again.
    kept = ("kind", "seed", "split", "size", "mode", "look", "areas", "shapes")
    named = zip([*training, validation], [*sets, held_out], strict=True)
    sources = [
        {"name": folder.resolve().name}
        | {key: each.settings[key] for key in kept}
        | {"images": len(each.images)}
        for folder, each in named
    ]
    return Rendered(scenes, checks, concepts, sources)


def _decode(record: clevr_ds.SceneImage, concepts: Concepts) -> Scene:
    try:
        with Image.open(record.path) as file:
            image = file.convert("RGB")
    except OSError as error:
        raise DataError(
            f"{record.path} cannot be read ({error}): run the same `finesight render` again"
        ) from error
    scale = np.tile(np.array(image.size, float), 2)
    objects = record.objects
    for thing in objects:
        if thing.class_name not in concepts.classes or thing.color not in concepts.colors:
            raise DataError(
                f"{record.path} shows a {thing.color} {thing.class_name}, which dataset.json does "
                "not list: render the set again"
            )
    kinds = [
        concepts.of(concepts.classes.index(thing.class_name), concepts.colors.index(thing.color))
        for thing in objects
    ]
    return Scene(
        image,
        np.array([thing.box for thing in objects], float).reshape(-1, 4) * scale,
        kinds,
        np.array([thing.cell or WHOLE for thing in objects], float).reshape(-1, 4) * scale,
        sheet=any(thing.cell is not None for thing in objects),
    )


Batch = tuple[UInt8, NDArray[np.int8]]
"""Crops (b, side, side, 3), and their content (b, concepts)."""


def cut(image: Image.Image, window: Window, side: int, through: int | None = None) -> UInt8:
    """The window as a square (side, side, 3); `through` a smaller square first, to lose detail."""
    left, top, right, bottom = window.tolist()
    box = (left, top, right, bottom)
    if through is not None:
        image = image.resize((through, through), Image.Resampling.BICUBIC, box=box)
        box = (0.0, 0.0, float(through), float(through))
    # The gap makes large windows several times faster to cut and changes a pixel by a level or two.
    resized = image.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    return np.asarray(resized)


def centered_window(box: Window, fill: float, limit: Window) -> Window:
    """The square whose side the box fills by `fill`, centred on it as far as the limit allows."""
    side = (box[2:] - box[:2]).max() / fill
    return _within((box[:2] + box[2:]) / 2 - side / 2, side, limit)


def object_window(box: Window, limit: Window, rng: np.random.Generator) -> Window:
    """A square that holds the box, or most of it, anywhere in it and at any of many scales."""
    fill = np.exp(rng.uniform(*np.log(FILL)))
    sizes = box[2:] - box[:2]
    side = sizes.max() / fill
    ends = np.sort(np.stack([box[2:] - side, box[:2]]), axis=0)
    slack = 0.1 * np.minimum(sizes, side)
    return _within(rng.uniform(ends[0] - slack, ends[1] + slack), side, limit)


def box_window(box: Window, limit: Window, rng: np.random.Generator) -> Window:
    """The box itself with its edges moved a little; it need not be square."""
    sizes = np.tile(box[2:] - box[:2], 2)
    moved = box + rng.uniform(-0.05, 0.2, 4) * sizes * np.array([-1, -1, 1, 1])
    return np.concatenate([np.maximum(moved[:2], limit[:2]), np.minimum(moved[2:], limit[2:])])


def cover_window(size: tuple[int, int], rng: np.random.Generator) -> Window:
    """A window of Complete Cover's proportions, the same share of both sides, anywhere."""
    sides = np.array(size) * rng.choice(COVER_SIDES, p=COVER_SHARES)
    corner = rng.uniform(0, np.array(size) - sides)
    return np.concatenate([corner, corner + sides])


def edge_window(box: Window, limit: Window, rng: np.random.Generator) -> Window:
    """A square that an object reaches into a little, just misses, or fills without being whole."""
    sizes = box[2:] - box[:2]
    side = sizes.max() / np.exp(rng.uniform(np.log(0.3), np.log(4.0)))
    corner = rng.uniform(box[:2] - side, box[2:])
    axis = rng.integers(2)
    reach = rng.uniform(-0.2, 0.4) * sizes[axis]
    corner[axis] = rng.choice([box[axis] + reach - side, box[axis + 2] - reach])
    return _within(corner, side, limit)


def _within(corner: Window, side: float, limit: Window) -> Window:
    side = min(side, *(limit[2:] - limit[:2]))
    corner = np.clip(corner, limit[:2], limit[2:] - side)
    return np.concatenate([corner, corner + side])


class CropSampler:
    """Draws batches of crops from decoded scenes; the batch number decides everything in it."""

    def __init__(
        self, scenes: list[Scene], concepts: Concepts, side: int, batch: int, seed: int
    ) -> None:
        self.scenes, self.concepts = scenes, concepts
        self.side, self.size, self.seed = side, batch, seed
        places = [(s, o) for s, scene in enumerate(scenes) for o in range(len(scene.boxes))]
        self._in_sheets = [place for place in places if scenes[place[0]].sheet]
        self._in_scenes = [place for place in places if not scenes[place[0]].sheet]
        self._whole = [scene for scene in scenes if not scene.sheet]

    def batch(self, number: int) -> Batch:
        """Batch `number`, the same whenever it is asked for."""
        rng = np.random.default_rng([self.seed, number])
        crops, contents = zip(*(self._crop(rng) for _ in range(self.size)), strict=True)
        return np.stack(crops), np.stack(contents)

    def _crop(self, rng: np.random.Generator) -> tuple[UInt8, NDArray[np.int8]]:
        scene, window = self._window(rng)
        through = int(rng.integers(*BLURRED_SIDES)) if rng.random() < BLURRED_SHARE else None
        pixels = cut(scene.image, window, self.side, through)
        return pixels, self.concepts.content(window, scene.boxes, scene.kinds)

    def _window(self, rng: np.random.Generator) -> tuple[Scene, Window]:
        kind = rng.choice(KINDS, p=KIND_SHARES)
        if kind == "cover" and self._whole:
            scene = self._whole[rng.integers(len(self._whole))]
            return scene, cover_window(scene.image.size, rng)
        places = self._in_scenes
        if not places or (self._in_sheets and rng.random() < SHEET_SHARE):
            places = self._in_sheets
        number, index = places[rng.integers(len(places))]
        scene = self.scenes[number]
        place = {"box": box_window, "edge": edge_window}.get(kind, object_window)
        return scene, place(scene.boxes[index], scene.limits[index], rng)
