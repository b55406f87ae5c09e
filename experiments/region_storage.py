"""What compact regions cost: int8, and leaving out regions that are near to a larger one.

python experiments/region_storage.py [--set test-textured] [--regions cc10 normal] [--quick]
    [--out docs/results/region_storage.txt]

Takes what a way of looking shows of annotated scenes, asks for every colour and class that is in
them, and ranks by the best region: first with all regions in float16, then as they are kept.
R-precision is class-prompt Recall@1 against the annotation; "same ten" the mean share of the first
ten images that stay; "box" the mean overlap (intersection over union) of the best region's box of
the first hit with the one before, where the first hit is the same.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from protocol import Queries, TestSet, arguments, recall

from finesight.proposals import resolve_effort
from finesight.scoring.similarity import cosines, max_over_regions, normalise, to_int8
from finesight.store.storage import Storage, distinct_regions
from finesight.types import ImageVectors

KEPT = [
    Storage(kind, distinct)
    for kind, distinct in itertools.product(
        ("float16", "int8"), (None, 0.999, 0.99, 0.98, 0.95, 0.9, 0.8)
    )
]


def as_kept(seen: ImageVectors, storage: Storage) -> tuple[np.ndarray, np.ndarray]:
    """Return regions and boxes of one image as a collection keeps them."""
    regions = to_int8(seen.embeddings) if storage.kind == "int8" else seen.embeddings
    regions = regions.astype(np.int8 if storage.kind == "int8" else np.float16)
    keep = np.arange(len(regions))
    if storage.distinct is not None:
        keep = distinct_regions(normalise(regions), seen.boxes, storage.distinct)
    return regions[keep], seen.boxes[keep]


def answers(
    texts: np.ndarray, kept: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores (t, n) and the boxes of the best regions (t, n, 4)."""
    counts = np.array([len(regions) for regions, _ in kept])
    found = cosines(texts, np.concatenate([regions for regions, _ in kept]))
    boxes = np.concatenate([boxes for _, boxes in kept])
    starts = np.cumsum(counts) - counts
    best = [max_over_regions(each, counts) for each in found]
    return np.stack([b for b, _ in best]), np.stack([boxes[starts + r] for _, r in best])


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return intersection over union of boxes (n, 4) and (n, 4)."""
    size = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    both = np.maximum(size, 0).prod(axis=1)
    area = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (a, b)]
    return both / (area[0] + area[1] - both)


def main() -> None:
    """Print a table for each way of looking, a row for each way to keep its regions."""
    parser = arguments(__doc__)
    parser.add_argument("--set", default="test-textured", help="what is searched")
    parser.add_argument("--regions", nargs="+", default=["cc10", "normal"])
    parser.add_argument("--out", type=Path, help="write the tables to this file as well")
    options = parser.parse_args()
    test = TestSet(options.set, options)
    asked = test.colored()
    lines = []
    for regions in options.regions:
        regions = resolve_effort(regions, test.model.capabilities)
        lines += _table(test, regions, asked)
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def _table(test: TestSet, regions: str, asked: Queries) -> list[str]:
    seen = test.seen(regions)
    exact, exact_boxes = answers(asked.texts, [as_kept(each, Storage()) for each in seen])
    ten = np.argsort(-exact, axis=1, kind="stable")[:, :10]
    lines = [
        f"{test.name}, {len(seen)} images, {len(asked.texts)} queries, {test.model.name}, "
        f"{regions}",
        f"{'regions':<22}{'an image':>9}{'bytes':>9}{'R-precision':>13}{'same ten':>10}{'box':>7}",
    ]
    for storage in KEPT:
        kept = [as_kept(each, storage) for each in seen]
        scores, boxes = answers(asked.texts, kept)
        now = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        same = np.mean([np.isin(a, b).mean() for a, b in zip(ten, now, strict=True)])
        rows = np.flatnonzero(ten[:, 0] == now[:, 0])
        first = ten[rows, 0]
        box = overlap(exact_boxes[rows, first], boxes[rows, first]).mean()
        count = np.mean([len(regions) for regions, _ in kept])
        size = count * (kept[0][0].itemsize * asked.texts.shape[1] + 16)
        limit = "all" if storage.distinct is None else f"below {storage.distinct:g}"
        lines.append(
            f"{storage.kind + ', ' + limit:<22}{count:>9.1f}{size:>9,.0f}"
            f"{recall(asked, scores):>13.1f}{same:>10.3f}{box:>7.2f}"
        )
    return lines


if __name__ == "__main__":
    main()
