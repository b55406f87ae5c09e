"""DetailCLIP's Table 12 and Figures 6, 8 and 10: recall against the number of regions.

python experiments/table12_cover.py [--set test-textured] [--images 120] [--plot FILE] [--quick]

Complete Cover with c = 1..15 in the even and in the paper's spacing, and grids with the whole
image. The regions' max, and the model's fusion of the same regions to one vector and to its default
number: what is stored stays the same, however many regions there were.
"""

import argparse
from pathlib import Path

import numpy as np
from protocol import DIFFERS, SIZES, TestSet, arguments, print_table, pyplot, recall, scores

from finesight.encoders.crops import encode_boxes
from finesight.images.open import read_image
from finesight.proposals.geometry_proposer import parse_regions

PATCHES = (1, 5, 14, 30, 39, 66, 79, 103, 136, 166, 187, 248, 273, 315, 355)
"""The paper's Table 12, for c = 1..15."""
SOME_CELLS = (2, 3, 5, 7, 10, 15)
"""Of the paper's spacing and the grids."""
QUICK_CELLS = (2, 5, 10)


def main() -> None:
    """Print the table, and draw the figure where asked."""
    parser = arguments(__doc__, "test-textured", plot=True)
    parser.add_argument("--images", type=int, default=120)
    options = parser.parse_args()
    test = TestSet(options.set, options)
    test.count = min(test.count, options.images)
    queries = {name: test.classes(subset) for name, subset in SIZES.items()}
    fuse, k = test.model.fuse, test.model.vectors
    rows, curves = [], {}
    cells = QUICK_CELLS if options.quick else range(1, 16)
    some = QUICK_CELLS if options.quick else SOME_CELLS
    schemes = [f"{kind}{c}{how}" for kind, how in (("cc", "-paper"), ("grid", "")) for c in some]
    schemes = [f"cc{c}" for c in cells] + schemes
    for scheme in schemes:
        seen = _seen(test, scheme, options)
        count = int(np.mean([len(each.boxes) for each in seen]))
        found = {
            "max": [each.embeddings for each in seen],
            "k=1": [fuse(each, 1) for each in seen],
            f"k={k}": [fuse(each, k) for each in seen],
        }
        row: list[object] = [scheme, count, _paper(scheme)]
        for vectors in found.values():
            row += [recall(asked, scores(asked, vectors)) for asked in queries.values()]
        rows.append(row)
        curves[scheme] = (count, row[3], row[6], row[9])
    print(test.title)
    columns = [f"{how} {name}" for how in ("max", "k=1", f"k={k}") for name in queries]
    print_table(["regions", "count", "paper", *columns], rows)
    width = test.model.encoder.width
    print(f"bytes per image in float16, all regions: 2 x {width} x count; ", end="")
    print(f"fused: {2 * width} and {2 * k * width}")
    print(DIFFERS)
    if options.plot:
        _plot(curves, k, options.plot)


def _seen(test: TestSet, scheme: str, options: argparse.Namespace) -> list:
    """Return what a scheme shows of the images, without keeping it: fifteen caches are large."""
    if scheme == "cc10":
        return test.seen("cc10")
    regions = parse_regions(scheme)
    images = test.scenes.images[: test.count]
    pictures = (read_image(image.path) for image in images)
    return [encode_boxes(one, test.model.encoder, regions(*one.size)) for one in pictures]


def _paper(scheme: str) -> int | None:
    return PATCHES[int(scheme[2:].removesuffix("-paper")) - 1] if scheme.startswith("cc") else None


def _plot(curves: dict, k: int, path: Path) -> None:
    figure, axes = pyplot().subplots(figsize=(7, 4.2), layout="constrained")
    kinds = {"CC, even": "cc", "CC, paper's spacing": "-paper", "grid": "grid"}
    for name, mark in kinds.items():
        chosen = [
            values
            for scheme, values in curves.items()
            if (mark in scheme and (mark != "cc" or "-paper" not in scheme))
        ]
        counts = [values[0] for values in chosen]
        axes.plot(counts, [values[1] for values in chosen], "o-", ms=3, label=f"{name}, max")
        if mark == "cc":
            axes.plot(counts, [v[3] for v in chosen], "s--", ms=3, label=f"{name}, {k} vectors")
            axes.plot(counts, [v[2] for v in chosen], "^:", ms=3, label=f"{name}, 1 vector")
    axes.set(xlabel="regions per image", ylabel="Recall@1, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path)


if __name__ == "__main__":
    main()
