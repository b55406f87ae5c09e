"""An honest "nothing matches": which relevance tells present from absent, and is calibrated.

Queries are all classes and all colours x classes, asked of the whole set and of the set without the
images that hold them. Every measure becomes a probability by the same curve, fitted without labels
to the hits of the background's texts. Choices were made on val-textured.

    python experiments/relevance.py --plot docs/results/relevance.png > docs/results/relevance.txt
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from protocol import arguments, interval, print_table, pyplot
from seen_set import SeenSet

from finesight import Collection
from finesight.indexing.up_to_date import update_active
from finesight.queries.grammar import take_apart
from finesight.research.metrics import auroc, expected_calibration_error
from finesight.scoring.calibration import Background, Curve, fit_curve
from finesight.store.schema import Record
from finesight.types import Float32, ImageVectors

TOP = 10
RESAMPLES = 1000
SCALE = 54.6  # of mini's softmax

Measure = Callable[[Background, str, Float32, Float32], np.ndarray]
"""Values (h,) of hits: of background, text, all images' cosines (n,), the hits' regions (h, d)."""


@dataclass(frozen=True)
class Asked:
    """One text and its true images (n,) bool; combined: whether it names a colour and a class."""

    text: str
    vector: Float32
    relevant: np.ndarray
    combined: bool


@dataclass(frozen=True)
class Judged:
    """The best hits of one query: their values (h,), which are right, and whether any can be."""

    values: np.ndarray
    right: np.ndarray
    present: bool
    combined: bool


@dataclass(frozen=True)
class Learned:
    """The curves of one measure: of texts that name a thing, and of those that say more of it."""

    bare: Curve
    described: Curve

    def of(self, judged: list[Judged]) -> np.ndarray:
        """Return the relevance of all hits, one query after another."""
        return np.concatenate([self.of_one(each) for each in judged])

    def of_one(self, judged: Judged) -> np.ndarray:
        """Return the relevance of one query's hits (h,)."""
        return (self.described if judged.combined else self.bare)(judged.values)


def main() -> None:
    """Print the tables, and draw the reliability diagram and the ROC."""
    parser = arguments(__doc__ or "", "test-textured", plot=True)
    parser.add_argument("--regions", default="normal")
    options = parser.parse_args()
    seen = SeenSet(options.set, options.regions, options)
    print(f"{options.set}, {seen.count} images, {options.regions} effort, {options.model}\n")
    asked = _queries(seen)
    texts = seen.model.background
    background = seen.calibrator.background
    drawn: dict[str, tuple[list[Judged], Learned]] = {}
    rows = []
    for name, measure in MEASURES.items():
        curve = _learned(seen, background, texts, measure)
        judged = _judge(seen, background, asked, measure)
        drawn[name] = judged, curve
        rows.append([name, *_figures(judged, curve)])
    print("every measure with its own curve, learned without labels; AUROC of the query's best")
    print("value over its first ten hits, ECE of the relevance of these hits (10 bins)")
    print_table(["", *_HEAD], rows)
    judged, curve = drawn["margin (ours)"]
    _print_intervals(judged, curve)
    _print_unknown(seen, asked)
    _print_growth(seen, asked)
    _print_nothing(judged, curve)
    _print_two_objects(seen)
    _print_cost(seen, options)
    if options.plot:
        _draw(drawn, options.plot)


def _cosine(background: Background, text: str, best: Float32, regions: Float32) -> np.ndarray:
    top: np.ndarray = np.sort(best)[::-1][: len(regions)]
    return top


def _spread(background: Background, text: str, best: Float32, regions: Float32) -> np.ndarray:
    top = _cosine(background, text, best, regions)
    values: np.ndarray = (top - np.median(best)) / best.std()
    return values


def _softmax(background: Background, text: str, best: Float32, regions: Float32) -> np.ndarray:
    rivals = SCALE * (regions @ background.vectors[background.rivals(text)].T)
    top = SCALE * _cosine(background, text, best, regions)
    values: np.ndarray = top - np.logaddexp.reduce(rivals, axis=1)
    return values


def _standing(background: Background, text: str, best: Float32, regions: Float32) -> np.ndarray:
    rivals = regions @ background.vectors[background.rivals(text)].T
    top = _cosine(background, text, best, regions)
    values: np.ndarray = (top - rivals.mean(axis=1)) / rivals.std(axis=1)
    return values


def _margin(background: Background, text: str, best: Float32, regions: Float32) -> np.ndarray:
    return background.margins(text, _cosine(background, text, best, regions), regions)


MEASURES: dict[str, Measure] = {
    "cosine": _cosine,
    "z over the collection": _spread,
    "z over the background": _standing,
    "softmax over the background": _softmax,
    "margin (ours)": _margin,
}


def _queries(seen: SeenSet) -> list[Asked]:
    classes, colors = seen.scenes.classes, seen.scenes.colors
    has = {(name, color): np.zeros(seen.count, bool) for name in classes for color in colors}
    for image in seen.scenes.images[: seen.count]:
        for thing in image.objects:
            has[thing.class_name, thing.color][image.index] = True
    named = [(name, np.any([has[name, c] for c in colors], axis=0), False) for name in classes]
    named += [(f"{color} {name}", has[name, color], True) for name, color in has]
    vectors = seen.encode([text for text, _, _ in named])
    return [Asked(t, v, r, c) for (t, r, c), v in zip(named, vectors, strict=True)]


def _judge(
    seen: SeenSet, background: Background, asked: list[Asked], measure: Measure
) -> list[Judged]:
    """Return the hits of every query in the set, and in the set without its images."""
    vectors = np.stack([each.vector for each in asked])
    scores, regions = seen.scores(vectors), seen.best_regions(vectors)
    judged = []
    for each, best, region in zip(asked, scores, regions, strict=True):
        whole = np.ones(seen.count, bool)
        for images in [whole, ~each.relevant] if each.relevant.any() else [whole]:
            left = np.flatnonzero(images)
            hits = left[np.argsort(-best[left], kind="stable")[:TOP]]
            values = measure(background, each.text, best[left], seen.embeddings[region[hits]])
            right = each.relevant[hits]
            present = bool(each.relevant[left].any())
            judged.append(Judged(values, right, present, each.combined))
    return judged


def _learned(
    seen: SeenSet, background: Background, texts: tuple[str, ...], measure: Measure
) -> Learned:
    scores, regions = seen.scores(background.vectors), seen.best_regions(background.vectors)
    few, many = (max(TOP, round(share * seen.count)) for share in (0.05, 0.2))
    described, bare = [], []
    for text, best, region in zip(texts, scores, regions, strict=True):
        hits = np.argsort(-best, kind="stable")[:many]
        values = measure(background, text, best, seen.embeddings[region[hits]])
        described.append(values[:few])
        bare += [values] if background.is_bare(text) else []
    curves = [fit_curve(np.concatenate(each)) for each in (bare, described)]
    assert curves[0] is not None and curves[1] is not None
    return Learned(curves[0], curves[1])


_HEAD = ("AUROC class", "colour x class", "ECE all", "class", "colour x class", "first hits")


def _figures(judged: list[Judged], curve: Learned) -> list[str]:
    classes = [each for each in judged if not each.combined]
    pairs = [each for each in judged if each.combined]
    areas = [_auroc(each) for each in (classes, pairs)]
    errors = [_error(each, curve) for each in (judged, classes, pairs)]
    first = [Judged(e.values[:1], e.right[:1], e.present, e.combined) for e in judged]
    return [f"{value:.3f}" for value in (*areas, *errors, _error(first, curve))]


def _auroc(judged: list[Judged]) -> float:
    present = np.array([each.values.max() for each in judged if each.present])
    absent = np.array([each.values.max() for each in judged if not each.present])
    return auroc(present, absent)


def _error(judged: list[Judged], curve: Learned) -> float:
    right = np.concatenate([each.right for each in judged])
    return expected_calibration_error(curve.of(judged), right)


def _print_intervals(judged: list[Judged], curve: Learned) -> None:
    """Print 95 % intervals over resampled queries."""
    rng = np.random.default_rng(0)
    rows = []
    print("\nmargin (ours), 95 % intervals over the queries")
    for name, chosen in (
        ("class", [e for e in judged if not e.combined]),
        ("colour x class", [e for e in judged if e.combined]),
    ):
        areas, errors = [], []
        for _ in range(RESAMPLES):
            rows = rng.integers(len(chosen), size=len(chosen))
            drawn = [chosen[row] for row in rows]
            areas.append(100 * _auroc(drawn))
            errors.append(100 * _error(drawn, curve))
        rows.append((name, interval(np.array(areas)), interval(np.array(errors))))
    print_table(("", "AUROC, %", "ECE, %"), rows)


def _print_unknown(seen: SeenSet, asked: list[Asked]) -> None:
    """Print what is left where the background names no class that is asked for."""
    print("\nmargin, with a background of one half of the classes, for queries of the other half")
    rows = []
    for half in (0, 1):
        known = set(seen.scenes.classes[half::2])
        texts = tuple(t for t in seen.model.background if any(t.endswith(n) for n in known))
        said = [seen.model.prompt.format(text) for text in texts]
        background = Background.of(texts, seen.model.encoder.encode_texts(said))
        others = [each for each in asked if not any(each.text.endswith(n) for n in known)]
        curve = _learned(seen, background, texts, _margin)
        judged = _judge(seen, background, others, _margin)
        rows.append([f"half {half + 1}", *_figures(judged, curve)])
    print_table(["", *_HEAD], rows)


def _print_growth(seen: SeenSet, asked: list[Asked]) -> None:
    """Print what a curve is worth that was learned when the collection was smaller."""
    print("\nmargin, ECE on the whole set with the curve of so many images")
    judged = _judge(seen, seen.calibrator.background, asked, _margin)
    rng = np.random.default_rng(0)
    rows = []
    for share in (0.1, 0.25, 0.5, 1.0):
        images = np.sort(rng.permutation(seen.count)[: round(share * seen.count)])
        curves = seen.judged_with(seen.model.background, images).curves
        curve = Learned(curves.bare, curves.margin)
        rows.append((len(images), f"{_error(judged, curve):.3f}"))
    print_table(("images", "ECE"), rows)


def _print_nothing(judged: list[Judged], curve: Learned) -> None:
    """Print how often "nothing matches" is said, and is true."""
    print('\nqueries answered by "nothing matches", in percent')
    rows = []
    for least in (0.1, 0.25, 0.5, 0.75, 0.9):
        row: list[object] = [f"--min-relevance {least:g}"]
        for combined in (False, True):
            for present in (True, False):
                said = [
                    curve.of_one(each).max() < least
                    for each in judged
                    if each.combined == combined and each.present == present
                ]
                row.append(100 * float(np.mean(said)))
        rows.append(row)
    print_table(
        ["", "class present", "absent", "colour x class present", "absent"],
        rows,
    )


def _print_two_objects(seen: SeenSet) -> None:
    """Print how calibrated the product of two parts' relevances is."""
    values, right = [], []
    for query in seen.queries():
        asked = take_apart(query.text)
        if query.kind != "fragment" or len(asked.phrases) != 2:
            continue
        score, _ = seen.together(asked)
        hits = np.argsort(-score, kind="stable")[:TOP]
        texts = [phrase.text for phrase in asked.phrases]
        vectors = seen.encode(texts)
        total = np.ones(TOP)
        for text, vector, regions in zip(texts, vectors, seen.best_regions(vectors), strict=True):
            region = seen.embeddings[regions[hits]]
            total *= seen.calibrator.relevance(text, region @ vector, region)
        values.append(total)
        right.append(np.isin(hits, list(query.relevant)))
    error = expected_calibration_error(np.concatenate(values), np.concatenate(right))
    print(f"\n{len(values)} fragments of two objects: ECE of the parts' product {error:.3f}")


def _print_cost(seen: SeenSet, options: argparse.Namespace) -> None:
    """Print the time of a query with and without relevance, in turns, in one process."""
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection.open(folder, seen.model)
        update_active(collection._folder, seen.model, options.regions, seen.model.vectors)
        records = [_record(seen, image, Path(folder)) for image in range(seen.count)]
        collection.table().insert(records)
        texts = [f"{color} {name}" for color in ("red", "blue") for name in seen.scenes.classes]
        start = time.perf_counter()
        calibrator = seen.judged_with(seen.model.background)
        estimate = time.perf_counter() - start
        snapshot = collection._reader.snapshot()
        times: dict[bool, list[float]] = {True: [], False: []}
        for text in [*texts[:5], *texts]:
            for calibrated in (True, False):
                snapshot.calibrator = calibrator if calibrated else None
                start = time.perf_counter()
                collection.search(text, split="off")
                times[calibrated].append(1000 * (time.perf_counter() - start))
    with_, without = (float(np.median(times[key][5:])) for key in (True, False))
    print(
        f"\na query of {seen.count} images: {without:.2f} ms, with relevance {with_:.2f} ms", end=""
    )
    print(f" ({100 * (with_ / without - 1):.0f} % more); to estimate it: {estimate:.1f} s")


def _record(seen: SeenSet, image: int, folder: Path) -> Record:
    rows = slice(seen.starts[image], seen.starts[image] + seen.counts[image])
    vectors = ImageVectors(seen.boxes[rows], seen.embeddings[rows])
    fused = seen.model.fuse(vectors)
    path = folder / f"{image:06}.jpg"
    return Record(f"{image:016x}", path, f"{image:064x}", 1, 1, 640, 640, "cc5", vectors, fused)


def _draw(drawn: dict[str, tuple[list[Judged], Learned]], out: Path) -> None:
    figure, (left, right) = pyplot().subplots(1, 2, figsize=(10, 4.6))
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, (judged, curve) in drawn.items():
        stated = curve.of(judged)
        true = np.concatenate([each.right for each in judged])
        place = np.minimum((stated * 10).astype(int), 9)
        bins = [place == each for each in range(10) if (place == each).sum() >= 10]
        left.plot(
            [stated[b].mean() for b in bins], [true[b].mean() for b in bins], "o-", label=name
        )
        pairs = [each for each in judged if each.combined]
        present = np.array([each.values.max() for each in pairs if each.present])
        absent = np.array([each.values.max() for each in pairs if not each.present])
        steps = np.sort(np.concatenate([present, absent]))[::-1]
        right.plot(
            [(absent >= step).mean() for step in steps],
            [(present >= step).mean() for step in steps],
            label=f"{name}: {auroc(present, absent):.3f}",
        )
    left.set(xlabel="stated relevance", ylabel="share that is right", title="Reliability of hits")
    right.set(xlabel="absent, called present", ylabel="present, called present")
    right.set_title("Is this colour x class there at all?")
    for axes in (left, right):
        axes.legend(fontsize=8)
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    main()
