"""Recall against cost: Complete Covers, grids, dense maps and looking for objects, side by side.

python experiments/effort_curve.py [--set test-textured] [--ways NAME ...] [--plot FILE] [--quick]

Passes are multiples of encoding one crop, by multiplications: the tower is convolutional, so its
canvases cost by their pixels, and what finds objects was counted when it was trained.
Seconds are measured in this run on the first images, one after the other: cutting, encoding and
proposing, without decoding the file, as multiples of encoding one crop as well.
Recall@1 in percent for all objects, small ones (below 1 % of the image) and large ones (above
5 %), with 95 % bootstrap intervals; the ratio to CC@10 max stands beside, and the interval of the
difference to it. Every setting was chosen on the validation scenes.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from protocol import (
    SIZES,
    TestSet,
    arguments,
    bootstrap,
    interval,
    print_table,
    pyplot,
    recall,
    scores,
)

from finesight.fusion import salient_clusters
from finesight.images.open import Picture, read_image
from finesight.proposals import EFFORTS, encode_proposals, parse_proposer, resolve_effort
from finesight.proposals.registry import WITH_FINDER, WITHOUT_FINDER
from finesight.types import ImageVectors

COVERS = ("full", "cc2", "cc3", "cc4", "cc5", "cc7", "cc10", "grid4")
DENSE = ("dense128", "dense160", "dense224")
OBJECTS = ("objects192x3", *WITH_FINDER.values(), "objects384x22")
SMALL_CROPS = ("objects256x7at56", "objects256x10at48")
TIMED = 60
REFERENCE = "cc10"

Look = Callable[[Image.Image], ImageVectors]


def main() -> None:
    """Print the table of one set, and draw it."""
    parser = arguments(__doc__, "test-textured", plot=True)
    parser.add_argument("--ways", nargs="+", help="only these, beside the whole image and CC@10")
    options = parser.parse_args()
    if options.plot and options.ways:
        parser.error("a plot shows all ways: leave --ways out")
    test = TestSet(options.set, options)
    ways = _ways(test, options.ways)
    seen = {name: test.seen(name) for name in ways}
    seconds = _seconds(test, ways)
    forward_passes = {
        name: parse_proposer(name, test.model.capabilities).forward_passes(640, 640)
        for name in ways
    }
    vectors = {name: [each.embeddings for each in images] for name, images in seen.items()}
    for name in (
        resolve_effort(effort, test.model.capabilities) for effort in EFFORTS
    ):  # what a collection keeps of them
        if name in seen:
            vectors[f"{name}, 8 vectors"] = [salient_clusters(each, 8) for each in seen[name]]
    table: dict[str, list[object]] = {}
    points = {}
    for column, subset in SIZES.items():
        queries = test.classes(subset)
        found = {name: scores(queries, each) for name, each in vectors.items()}
        drawn = bootstrap(queries, found)
        best = recall(queries, found[REFERENCE])
        for name, value in found.items():
            ours = recall(queries, value)
            apart = interval(drawn[name] - drawn[REFERENCE])
            cell = f"{ours:.1f} {interval(drawn[name])} {100 * ours / best:.0f}% {apart}"
            table.setdefault(name, []).append(cell)
            if column == "mix":
                points[name] = ours
    rows = []
    for name, cells in table.items():
        way = name.split(",")[0]
        rows.append(
            [name, f"{forward_passes[way]:.1f}", f"{seconds[way] / seconds['full']:.1f}", *cells]
        )
    print(f"{options.set}, {test.count} images, {test.model.name}; one crop: "
          f"{1000 * seconds['full']:.2f} ms")  # fmt: skip
    heads = [f"{column}: R@1 [95 %], of CC@10, difference" for column in SIZES]
    print_table(["", "passes", "time", *heads], rows)
    if options.plot:
        costs = {name: (forward_passes[name], seconds[name] / seconds["full"]) for name in ways}
        _plot(points, costs, options.plot)


def _ways(test: TestSet, only: list[str] | None) -> dict[str, Look]:
    """All kinds of proposals, or some."""
    model = test.model

    def way(name: str) -> Look:
        proposer = parse_proposer(name, model.capabilities)
        return lambda image: encode_proposals(Picture(image), model.encoder, proposer)

    names = (*COVERS, *WITHOUT_FINDER.values(), *SMALL_CROPS, *OBJECTS, *DENSE)
    chosen = names if only is None else ("full", REFERENCE, *only)
    return {name: way(name) for name in chosen}


def _seconds(test: TestSet, ways: dict[str, Look]) -> dict[str, float]:
    """Median seconds an image, all ways in turn on each image so that noise falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for labelled in test.scenes.images[:TIMED]:
        image = read_image(labelled.path)
        for name, look in ways.items():
            start = time.perf_counter()
            look(image)
            taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in taken.items()}


def _plot(points: dict[str, float], costs: dict[str, tuple[float, float]], path: Path) -> None:
    figure, panels = pyplot().subplots(1, 2, figsize=(11, 4.2), sharey=True)
    kinds = {
        "Complete Cover": COVERS[:-1],
        "grid": COVERS[-1:],
        "from coarse to fine": WITHOUT_FINDER.values(),
        "dense map": DENSE,
        "objects": OBJECTS,
    }
    labels = ("forward passes per image", "time, in encodings of one crop")
    for axis, (panel, label) in enumerate(zip(panels, labels, strict=True)):
        for kind, names in kinds.items():
            chosen = sorted((costs[name][axis], points[name]) for name in names)
            panel.plot(*zip(*chosen, strict=True), marker="o", label=kind)
        panel.set_xscale("log")
        panel.set_xlabel(label)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("Recall@1, %")
    panels[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
