"""DetailCLIP's Tables 7 and 10 and Figure 7: whole image, Complete Cover and true boxes, by size.

python experiments/table7_scales.py [--set test-textured] [--quick]

Rows: the whole image, CC@10 with max and with mean over the regions, the crops of the true boxes,
and the model's own fusion with one vector and with its default number. Columns: all objects, only
small ones (below 1 % of the image), only large ones (above 5 %). Brackets: the paper's number.
"""

import numpy as np
from protocol import (
    DIFFERS,
    PAPER,
    SIZES,
    TestSet,
    arguments,
    bootstrap,
    interval,
    print_table,
    scores,
)
from protocol import recall as recall_at_1


def main() -> None:
    """Print the table of one set."""
    options = arguments(__doc__, "test-textured").parse_args()
    test = TestSet(options.set, options)
    seen, boxes = test.seen("cc10"), test.seen("annotated")
    fuse, k = test.model.fuse, test.model.vectors
    vectors = {
        "whole image": [each.embeddings[:1] for each in seen],
        "CC@10 max": [each.embeddings for each in seen],
        "true boxes": [each.embeddings[1:] for each in boxes],
        "fused k=1": [fuse(each, 1) for each in seen],
        f"fused k={k}": [fuse(each, k) for each in seen],
    }
    paper = {(d, i): r for t, d, _, i, r in PAPER if t in ("7", "10", "fig7")}
    rows: dict[str, list[object]] = {}
    for column, subset in SIZES.items():
        queries = test.classes(subset)
        found = {name: scores(queries, each) for name, each in vectors.items()}
        found["CC@10 mean"] = np.stack(
            [(queries.texts @ each.embeddings.T).mean(axis=1) for each in seen], axis=1
        )
        drawn = bootstrap(queries, found)
        for name, value in found.items():
            theirs = paper.get((column, "fused" if name == "fused k=1" else name))
            beside = "" if theirs is None else f" ({theirs:.1f})"
            text = f"{recall_at_1(queries, value):.1f} {interval(drawn[name])}{beside}"
            rows.setdefault(name, []).append(text)
    print(f"{test.title} [95 %] (paper)")
    print_table(["", *SIZES], [[name, *cells] for name, cells in rows.items()])
    print(DIFFERS)


if __name__ == "__main__":
    main()
