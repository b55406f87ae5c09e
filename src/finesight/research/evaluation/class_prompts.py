"""Class-prompt retrieval, DetailCLIP's benchmark: name a class, get the images that hold it.

Recall by object size of the whole image, Complete Cover, a grid, the true boxes, and of a few fused
vectors per image.
"""

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from finesight.boxes import square_around
from finesight.fusion import TRAINING_FREE, ClosedForm
from finesight.images.open import Picture
from finesight.models import Model
from finesight.proposals import EFFORTS, Proposals, parse_proposer
from finesight.proposals.geometry import complete_cover, grid
from finesight.research.datasets.image_files import read_of_set
from finesight.research.datasets.records import LabelledImage, LabelledSet
from finesight.research.metrics import class_prompt_recall
from finesight.research.table import Cell, beside, format_table
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
    *(f"effort-{effort}" for effort in EFFORTS),
    "fused",
    *(f"fused-{k}" for k in VECTORS[1:]),
    *TRAINING_FREE_METHODS,
    "closed-form",
)


# DetailCLIP, Tables 7 and 10, Figure 7: CLIP ViT-B/32 on CLEVR-DS, Recall@1 by method and subset,
# in percent. "<1%" is its CLEVR-DS-S, ">5%" its CLEVR-DS-L.
RECALL_AT_1 = {
    "full": {"all": 20.35, "<1%": 3.18, ">5%": 25.67},
    "cc10-max": {"all": 41.78, "<1%": 29.30, ">5%": 38.97},
    "cc10-mean": {"all": 40.21, "<1%": 25.29, ">5%": 24.83},
    "boxes-max": {"all": 51.57},
    "fused": {"all": 41.10, "<1%": 26.30, ">5%": 39.23},
}

DIFFERENCES = (
    "What differs: the paper's encoder is CLIP ViT-B/32 (224 px) and its scenes hold 51 ShapeNet "
    "classes in 10,000 images; ours are procedural classes, and `mini` was trained on such scenes "
    "(other instances of each class), so the levels cannot be compared, the ratios can."
)


@dataclass(frozen=True)
class Row:
    """One number of the table; recall in 0..1, nan where a subset has no query.

    forward_passes: of the encoder, per image in the mean.
    """

    method: str
    subset: str
    k: int
    recall: float
    forward_passes: float

    def plain(self) -> dict[str, object]:
        """Return the row as plain data."""
        about = {name: getattr(self, name) for name in ("method", "subset", "k", "recall")}
        return {**about, "passes": round(self.forward_passes, 2)}


def evaluate_class_prompts(
    scenes: LabelledSet,
    model: Model,
    progress: Callable[[int], None] = lambda done: None,
    verified: bool = False,
) -> list[Row]:
    """Return class-prompt Recall@k for every method, subset and k.

    verified: rank only images in which a class was looked for (LVIS looks for a few per image);
    the paper ranks all. progress: called with the number of finished images. Raises DataError for a
    broken image.
    """
    texts = model.encoder.encode_texts([model.prompt.format(name) for name in scenes.classes])
    named = np.array([name not in scenes.never_named for name in scenes.classes])
    scores, forward_passes = score_images(scenes.images, model, texts, named, progress)
    shares = largest_shares(scenes)
    rows = []
    appears = largest_shares(scenes, ("query", "distractor")) > 0
    absent = [image.absent if verified else None for image in scenes.images]
    looked_for = np.array([[a is None or name in a for a in absent] for name in scenes.classes])
    for subset, (low, high) in SUBSETS.items():
        relevant = (shares >= low) & (shares < high) & (shares > 0)
        gallery = relevant | (~appears & looked_for)
        for method, k in itertools.product(METHODS, KS):
            recall = class_prompt_recall(scores[method], relevant, gallery, k)
            rows.append(Row(method, subset, k, recall, forward_passes[method]))
    return rows


def largest_shares(scenes: LabelledSet, roles: Sequence[str] = ("query",)) -> np.ndarray:
    """Return the share of image i that the largest instance of class c covers: (c, i).

    roles: the objects that count; a class that is there only as a distractor may not be asked for.
    """
    shares = np.zeros((len(scenes.classes), len(scenes.images)))
    for i, image in enumerate(scenes.images):
        for thing in image.objects:
            if thing.role in roles:
                c = scenes.classes.index(thing.class_name)
                shares[c, i] = max(shares[c, i], thing.share)
    return shares


def score_images(
    images: Sequence[LabelledImage],
    model: Model,
    texts: Float32,
    named: np.ndarray,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return each method's scores (t, n) of n images for text embeddings (t, d), and its forward
    passes per image.

    named: (t,) bool, the texts that a fusion may know beforehand.
    """
    scores = {method: np.empty((len(texts), len(images))) for method in METHODS}
    forward_passes = dict.fromkeys(METHODS, 0.0)
    closed_form = ClosedForm(texts[named])
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for i, cut in enumerate(pool.map(lambda image: _cut(image, model), images)):
            proposals, crops, passes = zip(*cut.values(), strict=True)
            ends = np.cumsum([len(part) for part in crops])[:-1]
            parts = np.split(model.encoder.encode_images(np.concatenate(crops)), ends)
            seen = dict(zip(cut, map(Proposals.complete, proposals, parts), strict=True))
            for method, vectors in seen.items():
                found = texts @ vectors.embeddings.T
                scores[method][:, i] = found.max(axis=1, initial=-1.0)
            cover = seen["cc10-max"]
            scores["cc10-mean"][:, i] = (texts @ cover.embeddings.T).mean(axis=1)
            fused = _fused(cover, model, closed_form)
            for method, kept in fused.items():
                scores[method][:, i] = (texts @ kept.T).max(axis=1)
            costs = dict(zip(cut, passes, strict=True))
            costs |= dict.fromkeys(("cc10-mean", *fused), costs["cc10-max"])
            for method, cost in costs.items():
                forward_passes[method] += cost / len(images)
            progress(i + 1)
    return scores, forward_passes


def _fused(seen: ImageVectors, model: Model, closed_form: ClosedForm) -> dict[str, Float32]:
    """Return what every fusion makes of Complete Cover's regions: (k, d) a method."""
    free = {
        method: TRAINING_FREE[name](seen, k) for method, (name, k) in TRAINING_FREE_METHODS.items()
    }
    trained = {f"fused-{k}": model.fusion(seen, k) for k in VECTORS}
    trained["fused"] = trained.pop("fused-1")
    return {**free, **trained, "closed-form": closed_form(seen)}


def _cut(image: LabelledImage, model: Model) -> dict[str, tuple[Proposals, UInt8, float]]:
    """Return the regions of every method in an image, their crops and their forward passes."""
    pixels = read_of_set(image.path)
    width, height = pixels.size
    true = [square_around(thing.box, width, height) for thing in image.objects]
    boxes = {
        "full": np.array([WHOLE], np.float32),
        "cc10-max": complete_cover(width, height, 10),
        "cc5-max": complete_cover(width, height, 5),
        "grid10-max": grid(width, height, 10),
        "boxes-max": np.array(true, np.float32).reshape(-1, 4),
    }
    preprocessing = model.encoder.preprocessing
    found = {
        method: (Proposals(each), preprocessing.cut(pixels, each), float(len(each)))
        for method, each in boxes.items()
    }
    for effort in EFFORTS:
        proposer = parse_proposer(effort, model.capabilities)
        proposals, crops = proposer.propose(Picture(pixels), preprocessing)
        found[f"effort-{effort}"] = proposals, crops, proposer.forward_passes(width, height)
    return found


def format_class_prompts(rows: Sequence[Row]) -> str:
    """Return the table for people: Recall@k in percent, the paper's Recall@1 in brackets.

    The second column is what the proposals cost per image, in forward passes of the encoder.
    """
    found = {(row.method, row.subset, row.k): 100 * row.recall for row in rows}
    forward_passes = {row.method: row.forward_passes for row in rows}
    table: list[Sequence[Cell]] = []
    for k in KS:
        for method in METHODS:
            paper = RECALL_AT_1.get(method, {}) if k == 1 else {}
            cells = [beside(found[method, subset, k], paper.get(subset)) for subset in SUBSETS]
            table.append((f"R@{k} {method}", forward_passes[method], *cells))
        table.append(())
    head = ("class-prompt recall, %", "passes", *(subset for subset in SUBSETS))
    brackets = "[in brackets: DetailCLIP's paper, Tables 7 and 10, Figure 7, CLIP ViT-B/32]"
    return "\n".join([format_table(head, table, (22, 8, 18)), brackets, DIFFERENCES])
