"""How many candidates by fused vectors the search for the very thing needs.

    python experiments/item_candidates.py --head mini-items --out docs/results/item_candidates.txt

`finesight search PHOTO@BOX --item` takes the images whose fused vectors come nearest to the box and
compares item embeddings of their regions. Queries are the users' true boxes of a set of items; the
gallery is its shop photos among scenes. Printed is how many of the true shop photos are among so
many candidates, and the mAP of both stages beside that of all regions of all images: what the first
stage loses. Candidates come by the encoder's embeddings, as in the program, or by the item head's
of the fused vectors, which would have to be kept beside them.
"""

from pathlib import Path

import numpy as np
from protocol import TestSet, arguments, features, report

from finesight.encoders.crops import encode_boxes
from finesight.images.open import read_image
from finesight.models import load_model
from finesight.research.datasets import read_items
from finesight.research.evaluation.items import rank_items
from finesight.research.table import Cell, format_table
from finesight.scoring.similarity import ITEM_SHARPNESS, max_over_regions, soft_max_over_regions
from finesight.types import Float32, ImageVectors

AMONG = ("train-textured", "train-plain")
REGIONS = "objects384x12"
CANDIDATES = (50, 100, 200, 400, 800)


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__, out=True)
    parser.add_argument("--items", default="items-val", help="a standard set of items")
    parser.add_argument("--head", type=Path, help="a bundle of the model with an item head")
    options = parser.parse_args()
    test = TestSet(AMONG[0], options)
    model = test.model
    items = read_items(options.scenes / options.items).matched()
    shop, users = items.views("shop"), items.views("user")
    if options.quick:
        users = users[::4]
    own = features(options.items, REGIONS, options, model)
    place = {name: i for i, name in enumerate(own.ids)}
    seen: list[ImageVectors] = [own[place[items.relative(view.photo)]] for view in shop]
    for name in AMONG:
        seen += list(features(name, REGIONS, options, model))
    names = [view.identity for view in shop] + [None] * (len(seen) - len(shop))
    asked = [view.identity for view in users]
    boxes = [np.array([view.thing.box], np.float32) for view in users]
    queries = np.concatenate(
        [
            encode_boxes(read_image(view.photo.path), model.encoder, box).embeddings
            for view, box in zip(users, boxes, strict=True)
        ]
    )
    head = None if options.head is None else load_model(str(options.head)).item_head
    embed = head or (lambda vectors: vectors)
    fused = [model.fuse(each) for each in seen]
    regions = [embed(each.embeddings) for each in seen]
    counts = np.array([len(each) for each in regions])
    found = embed(queries) @ np.concatenate(regions).T
    exact = np.stack([soft_max_over_regions(each, counts, ITEM_SHARPNESS) for each in found])
    near = {
        "by the encoder": best(queries, fused),
        "by the head": best(embed(queries), [embed(each) for each in fused]),
    }
    true = np.array([[name == identity for name in names] for identity in asked])
    rows: list[list[Cell]] = []
    for count in CANDIDATES:
        row: list[Cell] = [count]
        for scores in near.values():
            order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
            among = np.zeros_like(true)
            np.put_along_axis(among, order, True, axis=1)
            there = 100 * (true & among).sum() / true.sum()
            row += [there, mean_precision(exact, among, asked, names)]
        rows.append(row)
    rows.append(["all", 100.0, mean_precision(exact, np.ones_like(true), asked, names)])
    title = (
        f"{len(users)} boxes of {items.name}, {len(seen):,} images, {len(shop)} the shop's; "
        f"{model.name}, {'an item head' if head else 'no item head: its embeddings'}"
    )
    columns = [title for name in near for title in (f"{name}: there", "mAP")]
    report([title, format_table(("candidates", *columns), rows)], options.out)


def best(queries: Float32, parts: list[Float32]) -> Float32:
    """Return the best cosine of each image's vectors with each query (q, n)."""
    counts = np.array([len(part) for part in parts])
    found = queries @ np.concatenate(parts).T
    return np.stack([max_over_regions(each, counts)[0] for each in found])


def mean_precision(
    scores: Float32, among: np.ndarray, asked: list[object], names: list[object]
) -> float:
    """Return the mAP in percent where only candidates are found; the others are never."""
    limited = np.where(among, scores, np.float32(-np.inf))
    ranks = rank_items(limited, asked, names)
    return 100 * ranks.metrics()["mAP"]


if __name__ == "__main__":
    main()
