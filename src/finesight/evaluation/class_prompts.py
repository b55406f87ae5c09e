"""Class-prompt retrieval, DetailCLIP's benchmark: name a class, get the images that hold it.

Recall by object size of the whole image, Complete Cover, a grid, the true boxes, and of a few fused
vectors an image.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from finesight.datasets.records import LabelledImage, LabelledSet
from finesight.errors import DataError
from finesight.fusion import TRAINING_FREE, ClosedForm
from finesight.images import ImageError, read_image
from finesight.metrics import class_prompt_recall
from finesight.models import Model
from finesight.regions import complete_cover, grid, square_around
from finesight.types import WHOLE, Float32, ImageVectors, UInt8

KS = (1, 3, 5)
SUBSETS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1.01),
    "<1%": (0.0, 0.01),
    "1-5%": (0.01, 0.05),
    ">5%": (0.05, 1.01),
}
"""Share of the image that the class's largest instance covers: from (inclusive), to."""

VECTORS = (1, 2, 4, 8, 16, 32)
"""The numbers of vectors k at which the model's own fusion is measured."""

TRAINING_FREE_METHODS = {
    "salient-1": ("salient", 1),
    "salient-4": ("salient", 4),
    "salient-8": ("salient", 8),
    "fps-8": ("fps", 8),
}
"""Fusions that need neither training nor words, and their k."""

METHODS = (
    "full",
    "cc5-max",
    "cc10-max",
    "cc10-mean",
    "grid10-max",
    "boxes-max",
    "fused",
    *(f"fused-{k}" for k in VECTORS[1:]),
    *TRAINING_FREE_METHODS,
    "closed-form",
)


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
    scenes: LabelledSet,
    model: Model,
    progress: Callable[[int], None] = lambda done: None,
    verified: bool = False,
) -> list[Row]:
    """Return class-prompt Recall@k for every method, subset and k.

    verified: rank only images in which a class was looked for (LVIS looks for a few an image); the
    paper ranks all. progress: called with the number of finished images. Raises DataError for a
    broken image.
    """
    texts = model.encoder.encode_texts([model.prompt.format(name) for name in scenes.classes])
    named = np.array([name not in scenes.never_named for name in scenes.classes])
    scores = score_images(scenes.images, model, texts, named, progress)
    shares = largest_shares(scenes)
    rows = []
    appears = largest_shares(scenes, ("query", "distractor")) > 0
    looked_for = _looked_for(scenes) if verified else np.ones_like(appears)
    for subset, (low, high) in SUBSETS.items():
        relevant = (shares >= low) & (shares < high) & (shares > 0)
        gallery = relevant | (~appears & looked_for)
        for method in METHODS:
            for k in KS:
                recall = class_prompt_recall(scores[method], relevant, gallery, k)
                rows.append(Row(method, subset, k, recall))
    return rows


def _looked_for(scenes: LabelledSet) -> np.ndarray:
    """Whether a class without an object in an image is known to be absent: (c, i) bool."""
    return np.array(
        [
            [image.absent is None or name in image.absent for image in scenes.images]
            for name in scenes.classes
        ]
    )


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
    named: np.ndarray,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, np.ndarray]:
    """Return each method's scores (t, n) of n images for text embeddings (t, d).

    named: (t,) bool, the texts that a fusion may know beforehand.
    """
    scores = {method: np.empty((len(texts), len(images))) for method in METHODS}
    closed_form = ClosedForm(texts[named])
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for i, (cuts, parts) in enumerate(pool.map(lambda image: _cut(image, model), images)):
            ends = np.cumsum([len(boxes) for boxes in parts])[:-1]
            embeddings = np.split(model.encoder.encode_images(cuts), ends)
            full, cc10, cc5, cells, boxes = (texts @ part.T for part in embeddings)
            scores["full"][:, i] = full[:, 0]
            scores["cc10-max"][:, i] = cc10.max(axis=1)
            scores["cc10-mean"][:, i] = cc10.mean(axis=1)
            scores["cc5-max"][:, i] = cc5.max(axis=1)
            scores["grid10-max"][:, i] = cells.max(axis=1)
            scores["boxes-max"][:, i] = boxes.max(axis=1, initial=-1.0)
            seen = ImageVectors(parts[1], embeddings[1])
            for method, vectors in _fused(seen, model, closed_form).items():
                scores[method][:, i] = (texts @ vectors.T).max(axis=1)
            progress(i + 1)
    return scores


def _fused(seen: ImageVectors, model: Model, closed_form: ClosedForm) -> dict[str, Float32]:
    """Return what every fusion makes of Complete Cover's regions: (k, d) a method."""
    free = {
        method: TRAINING_FREE[name](seen, k) for method, (name, k) in TRAINING_FREE_METHODS.items()
    }
    trained = {f"fused-{k}": model.fusion(seen, k) for k in VECTORS}
    trained["fused"] = trained.pop("fused-1")
    return {**free, **trained, "closed-form": closed_form(seen)}


def _cut(image: LabelledImage, model: Model) -> tuple[UInt8, list[Float32]]:
    """Return the crops of every method's regions in one array, and those regions."""
    try:
        pixels = read_image(image.path)
    except ImageError as error:
        raise DataError(f"{image.path}: {error}; mend it or take it out of the set") from error
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
    return cuts, parts
