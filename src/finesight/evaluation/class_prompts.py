"""Class-prompt retrieval, DetailCLIP's benchmark: name a class, get the images that hold it.

METHODS: recall by object size, whole image against Complete Cover, grid and the true boxes.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from finesight.datasets.records import LabelledImage, LabelledSet
from finesight.errors import DataError
from finesight.images import ImageError, read_image
from finesight.metrics import class_prompt_recall
from finesight.models import Model
from finesight.regions import complete_cover, grid, square_around
from finesight.types import WHOLE, Float32, UInt8

KS = (1, 3, 5)
SUBSETS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1.01),
    "<1%": (0.0, 0.01),
    "1-5%": (0.01, 0.05),
    ">5%": (0.05, 1.01),
}
"""Share of the image that the class's largest instance covers: from (inclusive), to."""

METHODS = ("full", "cc5-max", "cc10-max", "cc10-mean", "grid10-max", "boxes-max")


@dataclass(frozen=True)
class Row:
    """One number of the table; recall in 0..1, nan where a subset has no query."""

    method: str
    subset: str
    k: int
    recall: float

    def plain(self) -> dict[str, str | int | float | None]:
        """Return the row for JSON, which has no nan."""
        return {**asdict(self), "recall": None if np.isnan(self.recall) else self.recall}


def evaluate_class_prompts(
    scenes: LabelledSet, model: Model, progress: Callable[[int], None] = lambda done: None
) -> list[Row]:
    """Return class-prompt Recall@k for every method, subset and k.

    progress: called with the number of finished images. Raises DataError for a broken image.
    """
    texts = model.encoder.encode_texts([model.prompt.format(name) for name in scenes.classes])
    scores = score_images(scenes.images, model, texts, progress)
    shares = largest_shares(scenes)
    rows = []
    appears = largest_shares(scenes, ("query", "distractor")) > 0
    for subset, (low, high) in SUBSETS.items():
        relevant = (shares >= low) & (shares < high) & (shares > 0)
        gallery = relevant | ~appears
        for method in METHODS:
            for k in KS:
                recall = class_prompt_recall(scores[method], relevant, gallery, k)
                rows.append(Row(method, subset, k, recall))
    return rows


def largest_shares(scenes: LabelledSet, roles: Sequence[str] = ("query",)) -> np.ndarray:
    """Return the share of image i that the largest instance of class c covers: (c, i).

    roles: the objects that count; a class that is there only as a distractor may not be asked for.
    """
    shares = np.zeros((len(scenes.classes), len(scenes.images)))
    for i, image in enumerate(scenes.images):
        for thing in (thing for thing in image.objects if thing.role in roles):
            c = scenes.classes.index(thing.class_name)
            shares[c, i] = max(shares[c, i], thing.share)
    return shares


def score_images(
    images: Sequence[LabelledImage],
    model: Model,
    texts: Float32,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, np.ndarray]:
    """Return each method's scores (t, n) of n images for text embeddings (t, d)."""
    scores = {method: np.empty((len(texts), len(images))) for method in METHODS}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for i, (cuts, sizes) in enumerate(pool.map(lambda image: _cut(image, model), images)):
            cosines = texts @ model.encoder.encode_images(cuts).T
            full, cc10, cc5, cells, boxes = np.split(cosines, np.cumsum(sizes)[:-1], axis=1)
            scores["full"][:, i] = full[:, 0]
            scores["cc10-max"][:, i] = cc10.max(axis=1)
            scores["cc10-mean"][:, i] = cc10.mean(axis=1)
            scores["cc5-max"][:, i] = cc5.max(axis=1)
            scores["grid10-max"][:, i] = cells.max(axis=1)
            scores["boxes-max"][:, i] = boxes.max(axis=1, initial=-1.0)
            progress(i + 1)
    return scores


def _cut(image: LabelledImage, model: Model) -> tuple[UInt8, list[int]]:
    """Return the crops of every method's regions in one array, and how many each has."""
    try:
        pixels = read_image(image.path)
    except ImageError as error:
        raise DataError(f"{image.path}: {error}; render the set again") from error
    width, height = pixels.size
    true = [square_around(thing.box, width, height) for thing in image.objects]
    parts = [
        np.array([WHOLE], np.float32),
        complete_cover(width, height, 10),
        complete_cover(width, height, 5),
        grid(width, height, 10),
        np.array(true, np.float32).reshape(-1, 4),
    ]
    cuts = model.encoder.preprocessing.cut(pixels, np.concatenate(parts))
    return cuts, [len(part) for part in parts]
