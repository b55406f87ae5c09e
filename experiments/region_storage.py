"""What compact regions cost: int8, and leaving out regions that are near to a larger one.

python experiments/region_storage.py [--set test-textured] [--regions cc10 normal] [--quick]
    [--out docs/results/region_storage.txt]

Takes the encoded proposals of annotated scenes, asks for every colour and class that is in
them, and ranks by the best region: first with all regions in float16, then as they are kept.
R-precision is class-prompt Recall@1 against the annotation; "same ten" the mean share of the first
ten images that stay; "box" the mean overlap (intersection over union) of the best region's box of
the first hit with the one before, where the first hit is the same.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from protocol import Queries, TestSet, arguments, recall, report

from finesight.boxes import intersection_over_union
from finesight.proposals import resolve_effort
from finesight.research.table import format_table
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


def main() -> None:
    """Print a table per kind of proposals, a row for each way to keep its regions."""
    parser = arguments(__doc__, "test-textured", out=True)
    parser.add_argument("--regions", nargs="+", default=["cc10", "normal"])
    options = parser.parse_args()
    test = TestSet(options.set, options)
    asked = test.colored()
    lines = []
    for regions in options.regions:
        regions = resolve_effort(regions, test.model.capabilities)
        lines += _table(test, regions, asked)
    report(lines, options.out)


def _table(test: TestSet, regions: str, asked: Queries) -> list[str]:
    seen = test.seen(regions)
    exact, exact_boxes = answers(asked.texts, [as_kept(each, Storage()) for each in seen])
    ten = np.argsort(-exact, axis=1, kind="stable")[:, :10]
    table = []
    for storage in KEPT:
        kept = [as_kept(each, storage) for each in seen]
        scores, boxes = answers(asked.texts, kept)
        now = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        same = np.mean([np.isin(a, b).mean() for a, b in zip(ten, now, strict=True)])
        rows = np.flatnonzero(ten[:, 0] == now[:, 0])
        first = ten[rows, 0]
        box = intersection_over_union(exact_boxes[rows, first], boxes[rows, first]).mean()
        count = np.mean([len(regions) for regions, _ in kept])
        size = count * (kept[0][0].itemsize * asked.texts.shape[1] + 16)
        limit = "all" if storage.distinct is None else f"below {storage.distinct:g}"
        figures = (f"{size:,.0f}", recall(asked, scores), f"{same:.3f}", f"{box:.2f}")
        table.append((f"{storage.kind}, {limit}", count, *figures))
    return [
        f"{test.name}, {len(seen)} images, {len(asked.texts)} queries, {test.model.name}, "
        f"{regions}",
        format_table(("regions", "per image", "bytes", "R-precision", "same ten", "box"), table),
    ]


if __name__ == "__main__":
    main()
