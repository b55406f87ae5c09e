"""The paper's numbers that stand beside ours (DetailCLIP, Tables 7 and 10, Figure 7)."""

from collections.abc import Sequence

from finesight.research.evaluation.class_prompts import KS, METHODS, SUBSETS, Row
from finesight.research.table import Cell, beside, format_table

# CLIP ViT-B/32 on CLEVR-DS: Recall@1 by method and subset, in percent. "Small" is the paper's
# CLEVR-DS-S (objects below 1 %), "large" its CLEVR-DS-L (above 5 %).
RECALL_AT_1 = {
    "full": {"all": 20.35, "<1%": 3.18, ">5%": 25.67},
    "cc10-max": {"all": 41.78, "<1%": 29.30, ">5%": 38.97},
    "cc10-mean": {"all": 40.21, "<1%": 25.29, ">5%": 24.83},
    "boxes-max": {"all": 51.57},
    "fused": {"all": 41.10, "<1%": 26.30, ">5%": 39.23},
}

DIFFERENCES = (
    "What differs: the paper's encoder is CLIP ViT-B/32 (224 px) and its scenes hold 51 ShapeNet "
    "classes in 10,000 images; ours are procedural classes, and `mini` was trained on such scenes "
    "(other instances of each class), so the levels cannot be compared, the ratios can."
)


def format_class_prompts(rows: Sequence[Row]) -> str:
    """Return the table for people: Recall@k in percent, the paper's Recall@1 in brackets.

    The second column is what the proposals cost per image, in forward passes of the encoder.
    """
    found = {(row.method, row.subset, row.k): 100 * row.recall for row in rows}
    forward_passes = {row.method: row.forward_passes for row in rows}
    table: list[Sequence[Cell]] = []
    for k in KS:
        for method in METHODS:
            paper = RECALL_AT_1.get(method, {}) if k == 1 else {}
            cells = [beside(found[method, subset, k], paper.get(subset)) for subset in SUBSETS]
            table.append((f"R@{k} {method}", forward_passes[method], *cells))
        table.append(())
    head = ("class-prompt recall, %", "passes", *(subset for subset in SUBSETS))
    brackets = "[in brackets: DetailCLIP's paper, Tables 7 and 10, Figure 7, CLIP ViT-B/32]"
    return "\n".join([format_table(head, table, (22, 8, 18)), brackets, DIFFERENCES])
