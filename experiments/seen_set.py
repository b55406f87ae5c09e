"""A rendered set as a collection holds it: regions of all images, and what calibrates hits."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from protocol import QUICK_IMAGES, features

from finesight import load_model
from finesight.errors import DataError
from finesight.models import Model
from finesight.queries.grammar import Asked
from finesight.research.datasets.clevr_ds import SceneSet, load
from finesight.research.scenes.words import Meaning, Noun
from finesight.scoring.calibration import Background
from finesight.scoring.conjunctive import Conjunction, conjunctive_scores
from finesight.search.calibrate import learn
from finesight.search.encode import encode_texts
from finesight.store.calibration import Calibrator
from finesight.types import Float32


@dataclass(frozen=True)
class Typed:
    """A query with its kind, its meaning, and the numbers of the images that it is true of."""

    kind: str
    text: str
    meaning: Meaning
    relevant: frozenset[int]


class SeenSet:
    """The images of a standard set (n), the regions that a scheme shows of them, and a calibrator.

    embeddings: (sum of counts, d), boxes: (sum of counts, 4), counts: (n,).
    """

    def __init__(self, name: str, regions: str, options: argparse.Namespace) -> None:
        self.name = name
        self.model: Model = load_model(options.model)
        self.scenes: SceneSet = load(options.scenes / name)
        self.directory: Path = options.scenes / name
        cache = features(name, regions, options, self.model)
        self.count = min(QUICK_IMAGES, len(cache)) if options.quick else len(cache)
        seen = [cache[i] for i in range(self.count)]
        self.counts = np.array([len(each.boxes) for each in seen])
        self.starts = np.cumsum(self.counts) - self.counts
        self.embeddings: Float32 = np.concatenate([each.embeddings for each in seen])
        self.boxes: Float32 = np.concatenate([each.boxes for each in seen])
        self.calibrator = self.judged_with(self.model.background)

    def judged_with(self, texts: tuple[str, ...], images: np.ndarray | None = None) -> Calibrator:
        """Return what is learned with some background texts, of all or some images."""
        said = [self.model.prompt.format(text) for text in texts]
        background = Background.of(texts, self.model.encoder.encode_texts(said))
        seen, counts = self.embeddings, self.counts
        if images is not None:
            chosen = np.zeros(self.count, bool)
            chosen[images] = True
            seen, counts = seen[np.repeat(chosen, counts)], counts[chosen]
        curves = learn(seen, counts, background, texts)
        if curves is None:
            raise DataError(f"{self.name} has too few images to learn from")
        return Calibrator(background, texts, curves, len(counts), "")

    def encode(self, texts: list[str]) -> Float32:
        """Return the vectors of texts as they are typed."""
        return encode_texts(texts, self.model.encoder)

    def scores(self, vectors: Float32) -> Float32:
        """Return each image's best cosine (t, n) with texts (t, d)."""
        best: Float32 = np.maximum.reduceat(vectors @ self.embeddings.T, self.starts, axis=1)
        return best

    def best_regions(self, vectors: Float32) -> np.ndarray:
        """Return the region (t, n) of each image that answers each text (t, d) best."""
        found = vectors @ self.embeddings.T
        return np.stack(
            [
                start + found[:, start : start + count].argmax(axis=1)
                for start, count in zip(self.starts, self.counts, strict=True)
            ],
            axis=1,
        )

    def together(self, asked: Asked, images: slice | None = None) -> tuple[Float32, np.ndarray]:
        """Return how well images show all parts (n,), and the parts' regions (m, n)."""
        chosen = images or slice(0, self.count)
        counts = self.counts[chosen]
        first = int(self.starts[chosen][0])
        rows = slice(first, first + int(counts.sum()))
        vectors = self.encode([phrase.text for phrase in asked.phrases])
        weights = np.array([1 if phrase.wanted else -1 for phrase in asked.phrases], np.float32)
        how = Conjunction.by(self.calibrator.curves.cosine, asked.relations)
        found = vectors @ self.embeddings[rows].T
        score, regions = conjunctive_scores(found, counts, self.boxes[rows], weights, how)
        return score, regions + (self.starts[chosen])

    def queries(self) -> list[Typed]:
        """Return the typed queries with an image among those of this run."""
        lines = (self.directory / "queries.jsonl").read_text(encoding="utf-8").splitlines()
        found = []
        for line in map(json.loads, lines):
            relevant = frozenset(i for i in line["relevant"] if i < self.count)
            if relevant:
                meaning = _meaning(line["meaning"])
                found.append(Typed(line["kind"], line["text"], meaning, relevant))
        return found

    def negatives(self) -> list[dict[str, str]]:
        """Return true and nearly true captions: index, kind, true, false."""
        lines = (self.directory / "negatives.jsonl").read_text(encoding="utf-8").splitlines()
        return [entry for entry in map(json.loads, lines) if entry["index"] < self.count]


def _meaning(plain: dict[str, list[object]]) -> Meaning:
    nouns = tuple(Noun(**noun) for noun in plain["nouns"])  # type: ignore[arg-type]
    relations = tuple(tuple(each) for each in plain["relations"])  # type: ignore[arg-type]
    return Meaning(nouns, relations, bool(plain["alone"]))  # type: ignore[arg-type]
