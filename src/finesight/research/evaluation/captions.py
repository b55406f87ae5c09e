"""Image-caption retrieval by any model, under the protocols of Flickr30K, COCO and ECCV Caption.

Images are scored by their whole-image embedding, by the vectors that the model's fusion keeps, and
by their best region.

Does a model read, or count words? With hard negatives it has to score a true caption above one that
is nearly true, after ARO (Yuksekgonul et al. 2023) and CounterCurate. Captions with swapped words
hold the same words as the true ones: who only counts words scores both alike, and gets half right.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from finesight.models import Model
from finesight.research import metrics
from finesight.research.datasets.records import CaptionSet, Judgements
from finesight.research.datasets.scene_texts import HardNegatives
from finesight.research.metrics import KS, CaptionRecalls
from finesight.research.table import Cell, format_table
from finesight.types import Float32, ImageVectors

FOLD = 1000
"""Images of a slice of COCO's 5 x 1K."""

_DIRECTIONS = ("i2t", "t2i")
_TEXTS = 1024  # texts that are encoded at a time


Scorer = Callable[[Sequence[int], Sequence[str]], np.ndarray]
"""Any model: the scores (n, t) of n images, by their places in the set, and t texts."""


@dataclass(frozen=True)
class KindResult:
    """How a model did on one kind of negatives.

    right: the share of pairs, in 0..1, whose true caption scores higher, where equal scores count
    half, which is what chance makes of them; tied: the share of pairs with equal scores.
    """

    kind: str
    right: float
    tied: float
    pairs: int

    @property
    def error(self) -> float:
        """The standard error of `right`."""
        return float(np.sqrt(self.right * (1 - self.right) / self.pairs))


@dataclass(frozen=True)
class Judged:
    """How a method does where more than one answer may be true, in percent; see `Judgements`."""

    name: str
    map_at_r: tuple[float, float]
    r_precision: tuple[float, float]
    recalls: CaptionRecalls


@dataclass(frozen=True)
class CaptionResult:
    """The table's row of one method.

    recalls: over all images; folds: the mean over slices of 1,000 images, for COCO's 5,000.
    In pairs, image to text stands before text to image.
    """

    method: str
    recalls: CaptionRecalls
    folds: CaptionRecalls | None = None
    judged: tuple[Judged, ...] = ()
    negatives: tuple[KindResult, ...] = ()


@dataclass
class CaptionScores:
    """The scores of one method: (n, t) of images and captions, and (m, 2) of hard negatives."""

    captions: np.ndarray
    negatives: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.float32))


def score_captions(
    captions: CaptionSet,
    seen: Iterable[ImageVectors],
    model: Model,
    negatives: HardNegatives | None = None,
) -> dict[str, CaptionScores]:
    """Return the scores by method: "whole", "fused-k", and "regions" where there are any.

    seen: what the model saw in each image, in order; captions are encoded as they are.
    """
    texts = encode_all(model, captions.captions)
    pairs, of_pairs = np.empty((0, 2, texts.shape[1]), np.float32), np.empty(0, int)
    if negatives is not None:
        pairs = np.stack([encode_all(model, negatives.true), encode_all(model, negatives.false)], 1)
        of_pairs = negatives.image
    found: dict[str, CaptionScores] = {}
    for image, vectors in enumerate(seen):
        methods = {"whole": vectors.embeddings[:1]}
        if len(vectors.embeddings) > 1:
            fused = model.fuse(vectors)
            methods |= {f"fused-{model.vectors}": fused, "regions": vectors.embeddings}
        rows = of_pairs == image
        for method, kept in methods.items():
            if method not in found:
                shapes = ((len(captions.images), len(texts)), (len(pairs), 2))
                found[method] = CaptionScores(*(np.empty(each, np.float32) for each in shapes))
            found[method].captions[image] = (kept @ texts.T).max(axis=0)
            found[method].negatives[rows] = (pairs[rows] @ kept.T).max(axis=-1)
    return found


def encode_all(model: Model, texts: Sequence[str]) -> Float32:
    """Return the embeddings (t, d) of any number of texts, each different one encoded once."""
    different = list(dict.fromkeys(texts))
    starts = range(0, len(different), _TEXTS)
    parts = [model.encoder.encode_texts(different[i : i + _TEXTS]) for i in starts]
    place = {text: i for i, text in enumerate(different)}
    return np.concatenate(parts)[[place[text] for text in texts]]


def evaluate_captions(
    captions: CaptionSet,
    scores: dict[str, CaptionScores],
    judgements: Sequence[Judgements] = (),
    negatives: HardNegatives | None = None,
) -> list[CaptionResult]:
    """Return every method's row.

    judgements: what else was judged true; what the set itself says is added as "all true".
    """
    known = list(judgements)
    if len(captions.more):
        relevant = captions.relevant()
        texts, images = np.arange(len(captions.captions)), np.flatnonzero(relevant.any(axis=1))
        known.insert(0, Judgements("all true", images, relevant[images], texts, relevant.T))
    folds = len(captions.images) == 5 * FOLD
    return [
        CaptionResult(
            method,
            metrics.caption_recalls(found.captions, captions.owner),
            metrics.caption_folds(found.captions, captions.owner, FOLD) if folds else None,
            tuple(_judged(found.captions, each) for each in known),
            tuple(hard_negative_accuracy(negatives, found.negatives) if negatives else ()),
        )
        for method, found in scores.items()
    ]


def _judged(scores: np.ndarray, known: Judgements) -> Judged:
    i2t = scores[known.images], known.i2t
    t2i = scores.T[known.texts], known.t2i
    return Judged(
        known.name,
        (100 * metrics.map_at_r(*i2t), 100 * metrics.map_at_r(*t2i)),
        (100 * metrics.r_precision(*i2t), 100 * metrics.r_precision(*t2i)),
        CaptionRecalls(metrics.success_at_k(*i2t), metrics.success_at_k(*t2i)),
    )


def score_pairs(negatives: HardNegatives, scorer: Scorer) -> np.ndarray:
    """Return the scores (m, 2) of each pair's true and false caption for its image."""
    found = np.empty((len(negatives), 2))
    for image in np.unique(negatives.image):
        rows = np.flatnonzero(negatives.image == image)
        pairs = [(negatives.true[row], negatives.false[row]) for row in rows]
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        scores = dict(zip(texts, scorer([int(image)], texts)[0], strict=True))
        found[rows] = [[scores[text] for text in pair] for pair in pairs]
    return found


def hard_negative_accuracy(negatives: HardNegatives, scores: np.ndarray) -> list[KindResult]:
    """Return how often the true caption wins, by kind in their first order; scores: (m, 2).

    Scores that differ by rounding only (a millionth of their size) are equal: sums of the same
    words in another order must not decide by their last digit.
    """
    true, false = np.asarray(scores, np.float64).T
    tied = np.isclose(true, false, rtol=1e-6, atol=1e-7)
    right = np.where(tied, 0.5, true > false)
    kinds = np.array(negatives.kinds)
    results = []
    for kind in dict.fromkeys(negatives.kinds):
        rows = kinds == kind
        share, equal = float(right[rows].mean()), float(tied[rows].mean())
        results.append(KindResult(kind, share, equal, int(rows.sum())))
    return results


def plain(result: CaptionResult) -> dict[str, object]:
    """Return a row as plain data."""
    row: dict[str, object] = {"method": result.method, **_plain_recalls(result.recalls)}
    if result.folds is not None:
        row["folds_5x1k"] = _plain_recalls(result.folds)
    if result.judged:
        row["judged"] = {
            each.name: {
                "map_at_r": dict(zip(_DIRECTIONS, each.map_at_r, strict=True)),
                "r_precision": dict(zip(_DIRECTIONS, each.r_precision, strict=True)),
                **_plain_recalls(each.recalls),
            }
            for each in result.judged
        }
    if result.negatives:
        row["hard_negatives"] = {
            each.kind: {"right": 100 * each.right, "tied": 100 * each.tied, "pairs": each.pairs}
            for each in result.negatives
        }
    return row


def _plain_recalls(recalls: CaptionRecalls) -> dict[str, object]:
    names = [f"r{k}" for k in KS]
    both = [dict(zip(names, each, strict=True)) for each in (recalls.i2t, recalls.t2i)]
    return {**dict(zip(_DIRECTIONS, both, strict=True)), "rsum": recalls.rsum}


def format_captions(captions: CaptionSet, results: Sequence[CaptionResult]) -> str:
    """Return the tables for people, in percent."""
    judged = [(f"{each.method}, {of.name}", of) for each in results for of in each.judged]
    rows: list[Sequence[Cell]] = []
    for result in results:
        recalls = {"": result.recalls, ", 5 x 1K": result.folds}
        recalls |= {f", {of.name}": of.recalls for of in result.judged}
        rows += [
            (result.method + what, *found.i2t, *found.t2i, found.rsum)
            for what, found in recalls.items()
            if found is not None
        ]
    directions = f"{'image to text':^24}{'text to image':^24}"
    ks = [f"R@{k}" for k in KS]
    lines = [
        f"{captions.name}: {len(captions.images)} images, {len(captions.captions)} captions",
        f"{'recall, %':<28}{directions}{'rsum':>8}",
        format_table(("", *ks, *ks), rows, (28, 8), gap=1),
    ]
    if judged:
        pairs = [
            (name, of.map_at_r[0], of.r_precision[0], "", of.map_at_r[1], of.r_precision[1])
            for name, of in judged
        ]
        names = ("mAP@R", "R-Prec.")
        lines += ["", format_table(("%", *names, "", *names), pairs, (28, 8), gap=1)]
    if results[0].negatives:
        head = ("", *(each.kind for each in results[0].negatives))
        right: list[Sequence[Cell]] = [
            (result.method, *(100 * each.right for each in result.negatives)) for result in results
        ]
        lines += ["", "true captions above nearly true ones, % (chance, and counting words: 50)"]
        lines.append(format_table(head, right, (28, 16)))
    return "\n".join(lines)
