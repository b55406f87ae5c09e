"""Which models read, and which count words? True captions against captions that are nearly true.

python experiments/hard_negatives.py [--set test-textured] [--quick]

A model has to score the true caption of an image above one with an attribute changed, two
attributes or two objects swapped, a relation turned round, or the words shuffled; the scene graph
says that these are false. Swaps keep all words: who counts words gets 50 %, as chance does.
Add a row by adding a function from the test set to a scorer (images, texts) -> scores to ROWS.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
from protocol import TestSet, arguments, of_first_images, print_table

from finesight.research.datasets import scene_texts
from finesight.research.datasets.scene_texts import HardNegatives
from finesight.research.evaluation.captions import (
    KindResult,
    Scorer,
    hard_negative_accuracy,
    score_pairs,
)
from finesight.research.scenes.words import NEGATIVE_KINDS
from finesight.types import Float32, ImageVectors

SWAPS = {"attribute-swap": "attributes", "object-swap": "places"}
"""The kinds that hold the same words as the truth, and what has to be read to deny them."""

REGIONS = "objects160x8"
"""What mini proposes by default: the whole image and at most 8 crops."""

READS = 0.75
"""Share of pairs from which a model is said to read: halfway from chance to always right."""

_RELATION = re.compile(r" (to the left of|to the right of|in front of|behind) ")
# Along which axis of the image the first thing's centre lies lower than the second's, or higher;
# what is nearer to the camera stands lower in the image.
_AXIS = {"to the left of": (0, -1), "to the right of": (0, 1), "in front of": (1, 1)}
_AXIS["behind"] = (1, -1)
_PLACED = 1.0  # what a relation that holds adds: more than any cosine, so that it decides


def best_of(vectors: Sequence[Float32], test: TestSet) -> Scorer:
    """Score a whole caption by the best of an image's vectors (k, d)."""

    def scorer(images: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        encoded = test.model.encoder.encode_texts(texts)
        return np.stack([(vectors[i] @ encoded.T).max(axis=0) for i in images])

    return scorer


def word_by_word(vectors: Sequence[Float32], test: TestSet) -> Scorer:
    """Score a caption by the mean over its words, in alphabetical order: it counts words."""

    def scorer(images: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        words = [sorted(text.split()) for text in texts]
        known = sorted({word for each in words for word in each})
        encoded = dict(zip(known, test.model.encoder.encode_texts(known), strict=True))
        found = np.empty((len(images), len(texts)))
        for row, image in enumerate(images):
            best = {word: float((vectors[image] @ encoded[word]).max()) for word in known}
            found[row] = [np.mean([best[word] for word in each]) for each in words]
        return found

    return scorer


def phrase_by_phrase(seen: Sequence[ImageVectors], test: TestSet, places: bool = False) -> Scorer:
    """Score a caption by the mean over its phrases ("a red mug"), each by its best region.

    places: whether a relation between two of them is looked up in these regions' boxes.
    """

    def scorer(images: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        parts = [_RELATION.split(text.removeprefix("a photo of ")) for text in texts]
        known = sorted({phrase for each in parts for phrase in each[::2]})
        encoded = dict(zip(known, test.model.encoder.encode_texts(known), strict=True))
        found = np.empty((len(images), len(texts)))
        for row, image in enumerate(images):
            regions = seen[image]
            scores = {phrase: regions.embeddings @ encoded[phrase] for phrase in known}
            centres = (regions.boxes[:, :2] + regions.boxes[:, 2:]) / 2
            for column, each in enumerate(parts):
                found[row, column] = np.mean([scores[phrase].max() for phrase in each[::2]])
                if places and len(each) == 3:
                    first, second = (centres[scores[phrase].argmax()] for phrase in each[::2])
                    axis, sign = _AXIS[each[1]]
                    found[row, column] += _PLACED * (sign * (first - second)[axis] > 0)
        return found

    return scorer


def _regions(test: TestSet, regions: str) -> list[Float32]:
    return [each.embeddings for each in test.seen(regions)]


ROWS: dict[str, Callable[[TestSet], Scorer]] = {
    "whole image": lambda test: best_of([e[:1] for e in _regions(test, REGIONS)], test),
    "fused, k = 8": lambda test: best_of(
        [test.model.fuse(each, 8) for each in test.seen(REGIONS)], test
    ),
    "best region": lambda test: best_of(_regions(test, REGIONS), test),
    "best of CC@10": lambda test: best_of(_regions(test, "cc10"), test),
    "best true box": lambda test: best_of(_regions(test, "annotated"), test),
    "word by word": lambda test: word_by_word(_regions(test, REGIONS), test),
    "phrase by phrase": lambda test: phrase_by_phrase(test.seen(REGIONS), test),
    "... and places": lambda test: phrase_by_phrase(test.seen(REGIONS), test, places=True),
    "... of true boxes": lambda test: phrase_by_phrase(test.seen("annotated"), test, places=True),
}
"""The rows of the table: how a scorer is made from the test set."""


def main() -> None:
    """Print the table."""
    options = arguments(__doc__, "test-textured").parse_args()
    test = TestSet(options.set, options)
    negatives = scene_texts.load_negatives(options.scenes / options.set)
    negatives = of_first_images(negatives, test.count)
    results = {name: measure(negatives, make(test)) for name, make in ROWS.items()}
    kinds = next(iter(results.values()))
    print(f"{options.set}, {test.count} images, {test.model.name}: true above false, %")
    head = [f"{each.kind} ({each.pairs})" for each in kinds]
    rows = [
        [name, *(100 * each.right for each in found), verdict(found)]
        for name, found in results.items()
    ]
    print_table(["scored by", *head, "verdict"], rows)
    print(f"standard errors: at most {100 * max(each.error for each in kinds):.1f} points")
    print(
        f"reads: {100 * READS:.0f} % or more of a kind of swap, which keeps all words; chance, and "
        "counting words, is 50 %."
    )


def measure(negatives: HardNegatives, scorer: Scorer) -> list[KindResult]:
    """Return a scorer's results by kind, in the order of NEGATIVE_KINDS."""
    found = hard_negative_accuracy(negatives, score_pairs(negatives, scorer))
    return sorted(found, key=lambda each: NEGATIVE_KINDS.index(each.kind))


def verdict(found: Sequence[KindResult]) -> str:
    """What a model reads, by the kinds of SWAPS."""
    read = [SWAPS[each.kind] for each in found if each.kind in SWAPS and each.right >= READS]
    return f"reads {' and '.join(read)}" if read else "counts words"


if __name__ == "__main__":
    main()
