"""How the cosines of an image's regions become the score of the search for the very thing.

    python experiments/item_scores.py --head mini-items > docs/results/item_scores.txt

Queries are the users' true boxes of items-val: a choice is made here, nothing is tested. They look
for the shop's photos, where one thing fills the photo, and for other users' photos of the item,
where it may be small; both among photos of other items and scenes. Regions are those that indexing
keeps.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from protocol import arguments, features, print_table

from finesight import load_model
from finesight.proposals import resolve_effort
from finesight.research.datasets import read_items
from finesight.research.evaluation.items import rank_items
from finesight.research.training.items.views import box_crops
from finesight.scoring.similarity import max_over_regions, mean_over_regions, soft_max_over_regions
from finesight.types import Float32

AMONG = {"items-train": "shop", "val-textured": ""}  # sets, and whose photos of them
SHARPNESS = (5, 10, 15, 20, 30, 50)

Score = Callable[[Float32, np.ndarray], Float32]


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--head", type=Path, required=True, help="a bundle with an item head")
    options = parser.parse_args()
    model, head = load_model(options.model), load_model(str(options.head)).item_head
    assert head is not None
    way = resolve_effort("normal", model.capabilities)
    items = read_items(options.scenes / "items-val")
    users = items.views("user")[:: 4 if options.quick else 1]
    queries = head(model.encoder.encode_images(box_crops(users, model.encoder.preprocessing)))

    sources, names, regions = [], [], []
    views = {items.relative(v.photo): v for v in [*items.views("shop"), *items.views("user")]}
    own = features("items-val", way, options, model)
    for number, file in enumerate(own.ids):
        if file in views:
            sources.append(views[file].photo.source)
            names.append(views[file].identity)
            regions.append(head(own[number].embeddings))
    for name, source in AMONG.items():
        cache = features(name, way, options, model)
        chosen = set(cache.ids)
        if source:
            other = read_items(options.scenes / name)
            chosen = {other.relative(view.photo) for view in other.views(source)}
        kept = [number for number, file in enumerate(cache.ids) if file in chosen]
        sources += ["other"] * len(kept)
        names += [None] * len(kept)
        regions += [head(cache[number].embeddings) for number in kept]

    counts = np.array([len(each) for each in regions])
    found = queries @ np.concatenate(regions).T
    ways: dict[str, Score] = {
        "maximum": lambda each, counts: max_over_regions(each, counts)[0],
        "mean": mean_over_regions,
    }
    for sharpness in SHARPNESS:
        ways[f"soft maximum, sharpness {sharpness}"] = lambda each, counts, s=sharpness: (
            soft_max_over_regions(each, counts, s)
        )
    files = [own.ids[i] for i, file in enumerate(own.ids) if file in views]
    asked = [(items.relative(view.photo), view.identity) for view in users]
    shops = np.array([source != "user" for source in sources])
    people = np.array([source != "shop" for source in sources])
    print(
        f"{len(users)} users' boxes of items-val; {model.name} with an item head, {way}; the "
        f"shop's photos among {shops.sum()} images, other users' among {people.sum() - 1}; mAP, %"
    )
    rows: list[list[object]] = []
    for label, score in ways.items():
        scores = np.stack([score(each, counts) for each in found])
        cells = []
        for gallery in (shops, people):
            precisions = []
            for row, (file, identity) in zip(scores, asked, strict=True):
                among = gallery.copy()
                if file in files:  # the photo itself is no answer
                    among[files.index(file)] = False
                shown = [names[place] for place in np.flatnonzero(among)]
                if identity in shown:
                    ranks = rank_items(row[None, among], [identity], shown)
                    precisions.append(ranks.average_precision.mean())
            cells.append(100 * float(np.mean(precisions)))
        rows.append([label, *cells])
    print_table(["score of an image", "shop's photos", "other users' photos"], rows)


if __name__ == "__main__":
    main()
