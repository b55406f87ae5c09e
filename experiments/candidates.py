"""How many candidates by fused vectors the exact second stage of a search needs.

    python experiments/candidates.py --out docs/results/candidates.txt

A search takes the images whose fused vectors come nearest and scores their regions. Printed is the
share of the ten best by all regions that is among so many candidates, and how often the best one
is, over growing collections of scenes: what the first stage loses at most. Regions are those that
normal effort finds, fused as `finesight index` does.
"""

import numpy as np
from protocol import TestSet, arguments, features, report, scores

from finesight.research.table import Cell, format_table
from finesight.types import ImageVectors

SETS = ("test-textured", "train-textured", "train-plain")
REGIONS = "objects384x12"
CANDIDATES = (20, 50, 100, 200)
TOP = 10


def main() -> None:
    """Print the table."""
    options = arguments(__doc__, out=True).parse_args()
    test = TestSet(SETS[0], options)
    caches = [features(name, REGIONS, options, test.model) for name in SETS]
    seen: list[ImageVectors] = [cache[i] for cache in caches for i in range(len(cache))]
    k = test.model.vectors
    rows = []
    regions = [each.embeddings for each in seen]
    fused = [test.model.fuse(each, k) for each in seen]
    for name, asked in (("classes", test.classes()), ("colour x class", test.colored())):
        exact, near = scores(asked, regions), scores(asked, fused)
        for count in sorted({len(seen) // 5, len(seen) // 2, len(seen)}):
            row: list[Cell] = [count, name]
            ten = np.argsort(-exact[:, :count], axis=1, kind="stable")[:, :TOP]
            order = np.argsort(-near[:, :count], axis=1, kind="stable")
            for candidates in CANDIDATES:
                found = np.stack(
                    [np.isin(a, b) for a, b in zip(ten, order[:, :candidates], strict=True)]
                )
                row.append(f"{100 * found.mean():.2f} ({100 * found[:, 0].mean():.2f})")
            rows.append(row)
    title = (
        "share of the ten best by all regions among the candidates (the best one), in percent; "
        f"{REGIONS}, k = {k}"
    )
    report([title, format_table(("images", "queries", *CANDIDATES), rows)], options.out)


if __name__ == "__main__":
    main()
