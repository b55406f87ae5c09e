"""Consumer-to-shop retrieval with a model: users' items against the shop's photos.

What a query is: the user's whole photo, the item's true box, or the box in which the model itself
finds it (DeepFashion2's own protocol: an overlap of at least .5, a miss where there is none). What
it is compared with: whole photos, boxes of the same kind, or all regions that indexing would keep
of the shop's photos, of which the best counts, as in `finesight search --item`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from finesight.encoders.crops import encode_ahead
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.models import Model
from finesight.proposals import Proposals, Proposer, parse_proposer
from finesight.proposals.finder_proposer import FinderProposer
from finesight.research.datasets.image_files import read_annotated
from finesight.research.datasets.records import LEVELS, ItemSet, Photo, View
from finesight.research.evaluation.items import KS, ItemRanks, choose_detected, rank_photos
from finesight.research.table import Cell, format_table
from finesight.scoring.similarity import ITEM_SHARPNESS, soft_max_over_regions
from finesight.types import WHOLE, Float32, UInt8

METHODS = {
    "photos": "whole photo with whole photos",
    "boxes": "true box with true boxes",
    "boxes-regions": "true box with regions of photos",
    "detected": "detected box with detected boxes",
    "detected-regions": "detected box with regions of photos",
}
"""Query and gallery, by name; "boxes-regions" is what `finesight search --item` compares."""

_AT_ONCE = 256  # queries scored at a time


@dataclass(frozen=True)
class SeenPhoto:
    """What a model sees in a photo.

    regions: (p, d), the whole photo first, as indexing keeps them; found: (p, 4), the boxes that
    they are about, xyxy; given: (t, d), of the true boxes of its things.
    """

    regions: Float32
    found: Float32
    given: Float32


_Seen = dict[object, SeenPhoto]
_Embed = Callable[[Float32], Float32]


@dataclass(frozen=True)
class ItemRow:
    """Figures of one method on one subset of the queries.

    embedding: "encoder", or "items" where they went through the item head; metrics: "mAP" and
    "top-k" in 0..1, nan without a query; detected: the share of queries that were.
    """

    method: str
    embedding: str
    subset: str
    queries: int
    detected: float
    metrics: dict[str, float]

    def plain(self) -> dict[str, object]:
        """Return the row as plain data."""
        about = {name: getattr(self, name) for name in ("method", "embedding", "subset", "queries")}
        figures = {"detected": self.detected, **self.metrics}
        return {**about, **{name: round(value, 6) for name, value in figures.items()}}


def evaluate_items(
    items: ItemSet,
    model: Model,
    regions: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[ItemRow]:
    """Return the figures of every method, with the encoder's embeddings and with the item head's.

    regions: the proposals of the photos, the model's own if not given; progress: called with the
    number of finished photos. Raises InputError where a user's item has no shop photo, or
    there are no queries; DataError for a photo that cannot be read.
    """
    users, shop = items.views("user"), items.views("shop")
    if not users:
        raise InputError(f"{items.name} has no item in a user's photo that could be looked for")
    refuse_unmatched(items)
    shown = {view.photo.path for view in [*users, *shop]}
    photos = [photo for photo in items.photos if photo.path in shown]
    proposer = parse_proposer(regions or model.regions, model.capabilities)
    seen: dict[object, SeenPhoto] = {}
    for photo, one in zip(photos, _encode(photos, model, proposer), strict=True):
        seen[photo.path] = one
        progress(len(seen))
    embed: dict[str, _Embed] = {"encoder": lambda vectors: vectors}
    if model.item_head is not None:
        embed["items"] = model.item_head
    subsets = by_level(users)
    rows = []
    for method, (name, head) in itertools.product(METHODS, embed.items()):
        ranks, detected = _ranks(method, users, shop, seen, head)
        for subset, of in subsets.items():
            found, figures = float(detected[of].mean()), ranks.only(of).metrics(KS)
            rows.append(ItemRow(method, name, subset, int(of.sum()), found, figures))
    return rows


def refuse_unmatched(items: ItemSet) -> None:
    """Raise InputError, with what to do, where there is no shop photo of a user's item."""
    if lost := items.unmatched():
        first = lost[0]
        raise InputError(
            f"{len(lost)} items in users' photos have no shop photo in {items.name}, so that they "
            f"cannot be found (the first is {first.identity} in {items.relative(first.photo)}): "
            "add the shop's photos, or leave these queries out with --matched-only"
        )


def _encode(photos: Sequence[Photo], model: Model, proposer: Proposer) -> Iterator[SeenPhoto]:
    """Yield what is seen in every photo, in order."""

    def cut(photo: Photo) -> tuple[tuple[Proposals, Float32], UInt8]:
        image = read_annotated(photo.path, photo.width, photo.height)
        picture = Picture(image, path=photo.path)
        proposals, crops = proposer.propose(picture, model.encoder.preprocessing)
        boxes = np.array([thing.box for thing in photo.things], np.float32).reshape(-1, 4)
        given = model.encoder.preprocessing.cut(image, boxes)
        found = proposals.boxes
        if isinstance(proposer, FinderProposer):  # what it found, not the windows around it
            found = np.concatenate([np.array([WHOLE], np.float32), proposer.found(image)])
        return (proposals, found), np.concatenate([given, crops])

    encoded = encode_ahead(photos, cut, model.encoder)
    for photo, ((proposals, found), embeddings) in zip(photos, encoded, strict=True):
        assert embeddings is not None
        given, rest = np.split(embeddings, [len(photo.things)])
        yield SeenPhoto(proposals.complete(rest).embeddings, found, given)


def _ranks(
    method: str, users: Sequence[View], shop: Sequence[View], seen: _Seen, embed: _Embed
) -> tuple[ItemRanks, np.ndarray]:
    """Return the ranks of a method, and which queries were detected (q,)."""
    kind, _, against_regions = method.partition("-")
    queries, detected = _embeddings(kind, users, seen)
    queries = embed(queries)
    asked = [view.identity for view in users]
    if against_regions:
        photos = list({view.photo.path: view.photo for view in shop}.values())
        shown = [{thing.identity for thing in photo.things} - {None} for photo in photos]
        parts = [seen[photo.path].regions for photo in photos]
        regions, counts = embed(np.concatenate(parts)), np.array([len(part) for part in parts])

        def score(block: slice) -> Float32:
            found = queries[block] @ regions.T
            return np.stack([soft_max_over_regions(each, counts, ITEM_SHARPNESS) for each in found])
    else:
        gallery, there = _embeddings(kind, shop, seen)
        gallery = embed(gallery)
        shown = [{view.identity} for view in shop]

        def score(block: slice) -> Float32:
            return np.where(there, queries[block] @ gallery.T, np.float32(-np.inf))

    blocks = [slice(at, at + _AT_ONCE) for at in range(0, len(users), _AT_ONCE)]
    ranked = [rank_photos(score(block), asked[block], shown, detected[block]) for block in blocks]
    return ItemRanks.joined(ranked), detected


def _embeddings(kind: str, views: Sequence[View], seen: _Seen) -> tuple[Float32, np.ndarray]:
    """Return embeddings (n, d) of items, and which of them there are (n,); others are zero."""
    there = np.ones(len(views), bool)
    rows = []
    for number, view in enumerate(views):
        one, place = seen[view.photo.path], view.photo.things.index(view.thing)
        if kind == "photos":
            rows.append(one.regions[0])
        elif kind == "boxes":
            rows.append(one.given[place])
        else:
            true = np.array([thing.box for thing in view.photo.things], np.float32)
            chosen = int(choose_detected(one.found, true)[place])
            there[number] = chosen >= 0
            rows.append(one.regions[chosen] * np.float32(there[number]))
    return np.stack(rows), there


def by_level(users: Sequence[View]) -> dict[str, np.ndarray]:
    """Return which items (n,) are of each level that is annotated, by its name, after "all"."""
    subsets = {"all": np.ones(len(users), bool)}
    for level, names in LEVELS.items():
        for number, name in names.items():
            of = np.array([view.thing.levels.get(level) == number for view in users])
            if of.any():
                subsets[f"{level} {name}"] = of
    return subsets


def format_items(items: ItemSet, rows: Sequence[ItemRow]) -> str:
    """Return the tables for people, in percent: all queries, then mAP by what makes them hard."""
    users, shop = (len(items.views(source)) for source in ("user", "shop"))
    best = rows[-1].embedding
    found = {(row.method, row.subset): row for row in rows if row.embedding == best}
    figures: list[Sequence[Cell]] = []
    for row in rows:
        if row.subset == "all":
            shares = [100 * value for value in (*row.metrics.values(), row.detected)]
            figures.append((METHODS[row.method], row.embedding, *shares))
    levels: list[Sequence[Cell]] = []
    for subset in dict.fromkeys(row.subset for row in rows):
        shares = [100 * found[method, subset].metrics["mAP"] for method in METHODS]
        levels.append((subset, found["photos", subset].queries, *shares))
    title = f"{items.name}: {users} items in users' photos, {shop} in the shop's"
    head = ("%", "embedding", "mAP", *(f"top-{k}" for k in KS), "detected")
    table = format_table(head, figures, (38, 10, *[8] * (len(KS) + 1), 10), gap=1)
    head = (f"mAP, % ({best})", "queries", *METHODS)
    return "\n".join([title, table, "", format_table(head, levels, (29, 8, 18), gap=1)])
