"""DetailCLIP's Table 1: recall falls with the object's size; where the encoder goes blind.

python experiments/table1_object_size.py [--set test-textured] [--plot FILE] [--quick]

Classes are asked for in images whose largest instance covers a share of the image in a range; the
paper does this on LVIS (whole image only), whose images are not here.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from protocol import (
    DIFFERS,
    TestSet,
    arguments,
    print_table,
    pyplot,
    recall,
    scores,
    whole_and_regions,
)

from finesight.research.evaluation.class_prompts import SUBSETS

EDGES = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.15, 1.01)


def main() -> None:
    """Print the table, and draw the figure where asked."""
    parser = arguments(__doc__, "test-textured", plot=True)
    options = parser.parse_args()
    test = TestSet(options.set, options)
    k = test.model.vectors
    vectors = whole_and_regions(test)
    vectors[f"fused k={k}"] = [test.model.fuse(each, k) for each in test.seen("cc10")]
    vectors["true boxes"] = [each.embeddings[1:] for each in test.seen("annotated")]
    rows = []
    for low, high in pairwise(EDGES):
        name = f"{100 * low:.2f}-{min(100 * high, 100):.2f} %"
        SUBSETS[name] = (low, high)
        queries = test.classes(name)
        asked = int(queries.relevant.sum())
        found = [recall(queries, scores(queries, each)) for each in vectors.values()]
        rows.append([name, asked, *found])
    print(test.title)
    print_table(["share of the image", "objects", *vectors], rows)
    print(DIFFERS)
    if options.plot:
        _plot(rows, list(vectors), options.plot)


def _plot(rows: list, names: list[str], path: Path) -> None:
    figure, axes = pyplot().subplots(figsize=(7, 4), layout="constrained")
    places = np.arange(len(rows))
    for column, name in enumerate(names, 2):
        axes.plot(places, [row[column] for row in rows], "o-", ms=4, label=name)
    axes.set_xticks(places, [row[0] for row in rows], rotation=30, ha="right", fontsize=8)
    axes.set(xlabel="share of the image that the object covers", ylabel="Recall@1, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
