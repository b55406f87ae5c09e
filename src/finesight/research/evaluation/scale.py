"""A model's effective scale: how small a thing may be in its input and still be named.

DetailCLIP (section 3.1) calls the smallest share of the input at which a model can retrieve an
object its Effective Scale Sensitivity. Here it is measured: every object is cut out with more and
more of its surroundings, and named among all classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from finesight.errors import InputError
from finesight.images.open import decode_image
from finesight.models import Model
from finesight.research.datasets.records import LabelledSet
from finesight.research.table import Cell, format_table

FILLS = (0.9, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)
"""Shares of the crop's side that the longer side of an object takes."""

KEPT = 0.5
"""Of the objects named when they fill the crop, as many must still be named."""

_SHARPEST = 0.9  # an object counts at a fill when its crop has this many pixels of the input's


@dataclass(frozen=True)
class Scale:
    """named: the share of objects named right at each of FILLS (NaN where none could be cut).

    effective: the smallest fill at which KEPT of those named at the largest are still named;
    objects: how many were cut at each.
    """

    named: tuple[float, ...]
    objects: tuple[int, ...]
    effective: float


def effective_scale(
    dataset: LabelledSet, model: Model, advance: Callable[[int], None] = lambda done: None
) -> Scale:
    """Cut every queried object at every fill, name it, and return what was found.

    An object counts at a fill when it is alone in the crop, the crop lies inside the image and is
    not much smaller than the model's input, so that size is tested and not sharpness. Raises
    InputError where no object can be cut so that it fills the crop.
    """
    texts = model.encoder.encode_texts([model.prompt.format(name) for name in dataset.classes])
    right, counts = np.zeros(len(FILLS)), np.zeros(len(FILLS), int)
    for done, labelled in enumerate(dataset.images, 1):
        image = decode_image(labelled.path.read_bytes())
        boxes = np.array([thing.box for thing in labelled.objects]).reshape(-1, 4)
        boxes = boxes * (image.size * 2)
        asked = []
        for index, thing in enumerate(labelled.objects):
            if thing.role != "query":
                continue
            for level, fill in enumerate(FILLS):
                window = _window(boxes, index, fill, image, model.encoder.preprocessing.side)
                if window is not None:
                    asked.append((window, level, dataset.classes.index(thing.class_name)))
        if asked:
            windows, fills, names = map(np.array, zip(*asked, strict=True))
            crops = model.encoder.preprocessing.cut(image, windows.astype(np.float32))
            named = (model.encoder.encode_images(crops) @ texts.T).argmax(axis=1)
            np.add.at(right, fills, named == names)
            np.add.at(counts, fills, 1)
        advance(done)
    if not counts[0]:
        raise InputError(
            "no object is alone and large enough to fill a crop: take a dataset with larger ones"
        )
    shares = np.where(counts > 0, right / np.maximum(counts, 1), np.nan)
    return Scale(tuple(shares.tolist()), tuple(counts.tolist()), smallest_kept(FILLS, shares))


def smallest_kept(fills: Sequence[float], named: Sequence[float] | np.ndarray) -> float:
    """Return the smallest fill down to which at least KEPT of the first share is named.

    >>> smallest_kept((0.9, 0.5, 0.3, 0.1), (0.8, 0.7, 0.4, 0.2))
    0.3
    """
    kept = fills[0]
    for fill, share in zip(fills, named, strict=True):
        if np.isnan(share) or share < KEPT * named[0]:
            break
        kept = fill
    return kept


def _window(
    boxes: np.ndarray, index: int, fill: float, image: Image.Image, side: int
) -> list[float] | None:
    """The crop in which a box has a fill, normalised; None where it would not count."""
    box = boxes[index]
    length = (box[2:] - box[:2]).max() / fill
    low = (box[:2] + box[2:]) / 2 - length / 2
    high = low + length
    if length < _SHARPEST * side or low.min() < 0 or (high > image.size).any():
        return None
    others = np.delete(boxes, index, axis=0)
    if ((others[:, :2] < high) & (others[:, 2:] > low)).all(axis=1).any():
        return None
    return list(np.concatenate([low, high]) / (image.size * 2))


def format_scale(found: Scale) -> str:
    """Return the shares for people, a line per fill."""
    widest = len(str(max(found.objects))) + 2
    rows: list[Sequence[Cell]] = [
        (f"  {fill}", f"{100 * share:.1f} %", f"({count})".ljust(widest))
        if count
        else (f"  {fill}",)
        for fill, share, count in zip(FILLS, found.named, found.objects, strict=True)
    ]
    head = "side of the object over the crop's: named right (objects)"
    foot = f"effective scale {found.effective}: half of what fills a crop is still named"
    return "\n".join([head, format_table(rows[0], rows[1:], (7, 8, 0)), foot])
