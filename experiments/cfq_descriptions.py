"""Flickr30K-CFQ's real queries, searched for in real sentences about its images, with expansions.

Which way of merging helps, by kind of query? An image is described by the sentences that are known
of it: its captions where the files hold them, and the raw and similar sentences of CFQ itself. A
sentence never counts for itself. Full-text search (BM25), and with --text-model also vectors.

    python experiments/cfq_descriptions.py DIRECTORY > docs/results/cfq_descriptions.txt
"""

import argparse
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from protocol import gain, print_table

from finesight import load_model
from finesight.research.datasets.flickr30k_cfq import Flickr30kCfq, load
from finesight.research.datasets.records import KINDS
from finesight.research.metrics import capped_recall
from finesight.scoring.rank_fusion import RANK_FUSIONS
from finesight.search.encode import encode_texts
from finesight.types import Float32

TOP = 10
_K1, _B = 1.2, 0.75  # as Lance and Lucene have them
_SILENT = "a an the of in on at with and or to is are was were his her its their"

Score = Callable[[Sequence[str]], Float32]
"""Scores (t, s) of texts with all sentences."""


def main() -> None:
    """Print what each way of merging finds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path, help="with Flickr30K-CFQ's five files")
    parser.add_argument("--text-model", help="a model whose text tower compares sentences")
    parser.add_argument("--quick", action="store_true", help="every fifth query")
    options = parser.parse_args()
    data = load(options.directory)
    sentences, owners = _sentences(data)
    images = sorted(set(owners))
    captioned = len(set(data.typed.images) & set(data.captions))
    print(f"{len(sentences)} sentences about {len(images)} images; of the 1,000 images of CFQ")
    print(f"{captioned} are among the 1,000 with published captions here: the others are described")
    print("by the raw and similar sentences of CFQ itself. Queries without a described relevant")
    print("image beside their own sentence are left out.\n")
    ways: dict[str, Score] = {"full text (BM25)": Bm25(sentences).scores}
    if options.text_model:
        ways[f"vectors of {options.text_model}"] = _vectors(sentences, options.text_model)
    for name, score in ways.items():
        _print_way(name, score, data, sentences, owners, images, 5 if options.quick else 1)
    if not options.text_model:
        print("no text model was given (--text-model): mini knows 187 words of rendered scenes")


class Bm25:
    """Okapi BM25 over sentences (Robertson and Zaragoza, 2009)."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.counts = [Counter(_terms(sentence)) for sentence in sentences]
        lengths = np.array([sum(count.values()) for count in self.counts])
        self.norm = _K1 * (1 - _B + _B * lengths / lengths.mean())
        held = Counter(term for count in self.counts for term in count)
        total = len(sentences)
        self.idf = {t: math.log(1 + (total - n + 0.5) / (n + 0.5)) for t, n in held.items()}
        self.rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        places: dict[str, list[int]] = {}
        for place, count in enumerate(self.counts):
            for term in count:
                places.setdefault(term, []).append(place)
        for term, found in places.items():
            self.rows[term] = np.array(found), np.array([self.counts[i][term] for i in found])

    def scores(self, texts: Sequence[str]) -> Float32:
        """Return the scores (t, s), each divided by the most that a text could have, about 0..1."""
        out = np.zeros((len(texts), len(self.counts)), np.float32)
        for row, text in enumerate(texts):
            terms = set(_terms(text))
            most = sum(self.idf.get(term, math.log(1 + 2 * len(self.counts))) for term in terms)
            for term in terms & set(self.rows):
                found, often = self.rows[term]
                gained = self.idf[term] * often * (_K1 + 1) / (often + self.norm[found])
                out[row, found] += gained / max(most, 1e-9)
        return out


def _terms(text: str) -> list[str]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    stems = [
        re.sub(r"(?<=...)(ing|ed|es|s)$", "", word) for word in words if word not in _SILENT.split()
    ]
    return stems or words


def _vectors(sentences: Sequence[str], model: str) -> Score:
    encoder = load_model(model).encoder
    known = encode_texts(sentences, encoder)

    def score(texts: Sequence[str]) -> Float32:
        found: Float32 = encode_texts(texts, encoder) @ known.T
        return found

    return score


def _sentences(data: Flickr30kCfq) -> tuple[list[str], list[str]]:
    """Return all sentences, and the image of each."""
    found = [(text, image) for image, texts in data.captions.items() for text in texts]
    for query in data.typed.queries:
        if query.kind in ("raw", "similar"):
            found += [(query.text, image) for image in sorted(query.relevant)]
    return [text for text, _ in found], [image for _, image in found]


def _print_way(
    name: str,
    score: Score,
    data: Flickr30kCfq,
    sentences: list[str],
    owners: list[str],
    images: list[str],
    step: int,
) -> None:
    plain = [_plain(sentence) for sentence in sentences]
    column = {image: place for place, image in enumerate(images)}
    place = np.array([column[owner] for owner in owners])
    recalls: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    wholes: dict[str, list[float]] = {}
    for query in data.typed.queries[::step]:
        others = np.array([sentence != _plain(query.text) for sentence in plain])
        described = {owner for owner, other in zip(owners, others, strict=True) if other}
        relevant = np.array([[image in query.relevant & described for image in images]])
        if not relevant.any():
            continue
        found = score([query.text, *data.descriptions.get(query.text, ())])
        found = np.where(others, found, 0)
        by_image = np.zeros((len(found), len(images)), np.float32)
        for row, each in zip(by_image, found, strict=True):
            np.maximum.at(row, place, each)
        trust = float(by_image[0].max())
        alone = by_image[1:].mean(axis=0) if len(by_image) > 1 else by_image[0]
        merged = {"raw": by_image[0], "descriptions alone": alone}
        for fusion, fuse in RANK_FUSIONS.items():
            merged[fusion] = fuse(by_image, TOP, trust)
        for way, scores in merged.items():
            recall = float(capped_recall(scores[None], relevant, TOP)[0])
            recalls[query.kind].setdefault(way, []).append(100 * recall)
            wholes.setdefault(way, []).append(100 * recall)
    print(f"{name}: Recall@{TOP} by kind, all together, and gain over raw with its 95 % interval")
    rows: list[list[object]] = []
    for way in wholes:
        means = [float(np.mean(recalls[kind][way])) if recalls[kind] else None for kind in KINDS]
        gained = np.array(wholes[way]) - np.array(wholes["raw"])
        rows.append([way, *means, float(np.mean(wholes[way])), gain(gained)])
    rows.append(["queries", *(len(recalls[kind].get("raw", ())) for kind in KINDS)])
    rows[-1] += [len(wholes["raw"]), ""]
    print_table(["", *KINDS, "all", "gain"], rows)
    print()


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


if __name__ == "__main__":
    main()
