"""The paper's numbers that stand beside ours (DetailCLIP, Tables 7 and 10, Figure 7)."""

from collections.abc import Sequence

from finesight.research.evaluation.class_prompts import KS, METHODS, SUBSETS, Row

# CLIP ViT-B/32 on CLEVR-DS: method, subset -> Recall@1, in percent. "Small" is the paper's
# CLEVR-DS-S (objects below 1 %), "large" its CLEVR-DS-L (above 5 %).
RECALL_AT_1 = {
    ("full", "all"): 20.35,
    ("cc10-max", "all"): 41.78,
    ("cc10-mean", "all"): 40.21,
    ("boxes-max", "all"): 51.57,
    ("full", "<1%"): 3.18,
    ("cc10-max", "<1%"): 29.30,
    ("cc10-mean", "<1%"): 25.29,
    ("full", ">5%"): 25.67,
    ("cc10-max", ">5%"): 38.97,
    ("cc10-mean", ">5%"): 24.83,
    ("fused", "all"): 41.10,
    ("fused", "<1%"): 26.30,
    ("fused", ">5%"): 39.23,
}

DIFFERENCES = (
    "What differs: the paper's encoder is CLIP ViT-B/32 (224 px) and its scenes hold 51 ShapeNet "
    "classes in 10,000 images; ours are procedural classes, and `mini` was trained on such scenes "
    "(other instances of each class), so the levels cannot be compared, the ratios can."
)


def format_table(rows: Sequence[Row]) -> str:
    """Return the table for people: Recall@k in percent, the paper's Recall@1 in brackets.

    forward_passes: what looking at an image costs, in encodings of one crop.
    """
    found = {(row.method, row.subset, row.k): 100 * row.recall for row in rows}
    forward_passes = {row.method: f"{row.forward_passes:.1f}" for row in rows}
    head = f"{'class-prompt recall, %':<22}{'passes':>8}"
    head += "".join(f"{subset:>18}" for subset in SUBSETS)
    lines = [head]
    for k in KS:
        for method in METHODS:
            cells = ""
            for subset in SUBSETS:
                paper = RECALL_AT_1.get((method, subset)) if k == 1 else None
                beside = f" [{paper:5.2f}]" if paper else " " * 8
                cells += f"{found[method, subset, k]:>10.1f}{beside}"
            lines.append(f"R@{k} {method:<18}{forward_passes[method]:>8}{cells}")
        lines.append("")
    lines.append("[in brackets: DetailCLIP's paper, Tables 7 and 10, Figure 7, CLIP ViT-B/32]")
    return "\n".join([*lines, DIFFERENCES])
