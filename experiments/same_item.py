"""The same item in another photo: what regions, identities, captions and boxes each bring.

A user's photo with the item's box is the query, the shop's photos of items that were never trained
on are the gallery (METHODS.md 5). Every ingredient is trained on its own beside ArcFace and all
together, with mini's tower frozen (a head over its embeddings) and with it learning. Trained
bundles and what they find are kept, so that an interrupted run goes on.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from protocol import CACHE, arguments, gain, print_table

from finesight import load_model
from finesight.encoders import Preprocessing
from finesight.images.open import read_image
from finesight.models import Model
from finesight.proposals import resolve_effort
from finesight.research.datasets import clevr_ds, read_items
from finesight.research.datasets.records import ItemSet, LabelledImage, View
from finesight.research.evaluation.item_retrieval import by_level
from finesight.research.evaluation.items import ItemRanks, item_metrics, rank_items
from finesight.research.training.export import put_part
from finesight.research.training.extraction import write_features
from finesight.research.training.items.examples import (
    CAPTIONS,
    OF_PAIRS,
    ItemRecipe,
    Learned,
    described,
    examples,
)
from finesight.research.training.items.export import items_part, write_tuned_bundle
from finesight.research.training.items.start import begin_network, begin_tower, caption_tokenizer
from finesight.research.training.items.towers import FrozenTower, TunedTower
from finesight.research.training.items.training import Held, train_items
from finesight.research.training.items.views import ViewSampler, box_crops, keep_parts
from finesight.research.training.run import Run
from finesight.scoring.similarity import ITEM_SHARPNESS, soft_max_over_regions
from finesight.types import WHOLE, Float32, UInt8

ROUNDS = 5  # views that the frozen tower encodes


@dataclass(frozen=True)
class Ingredients:
    """What a row is trained with: losses, what the captions say, and further captioned objects."""

    losses: tuple[str, ...]
    captions: str = "detailed"
    others: bool = False


TRAINED = {
    "+ ArcFace": Ingredients(("arcface",)),
    "captions alone": Ingredients(("itc", "itm")),
    "+ ArcFace + captions": Ingredients(("arcface", "itc", "itm")),
    "  captions by the template": Ingredients(("arcface", "itc", "itm"), "template"),
    "+ ArcFace + boxes": Ingredients(("arcface", "box")),
    "all": Ingredients(("arcface", "itc", "itm", "box")),
    "all, captions of more objects": Ingredients(("arcface", "itc", "itm", "box"), others=True),
}
"""Every trained row, on top of regions."""

TUNED = (
    "+ ArcFace",
    "+ ArcFace + captions",
    "+ ArcFace + boxes",
    "all",
    "all, captions of more objects",
)
"""The rows that are trained with a learning tower too."""

SCENES = ("train-textured", "train-plain", "objects-textured", "objects-plain")
"""Of the further objects, of which captions are all that is known."""

FROZEN = ItemRecipe(steps=120, batch=192, rate=1e-3, validate_every=20)
LEARNING = ItemRecipe(steps=250, batch=192, rate=1e-3, tower_rate=5e-4, validate_every=50)


_CUT: dict[tuple[str, Preprocessing], UInt8] = {}
"""What was cut out for one model serves all that encode crops of the same kind."""


def _encoded(views: list[View], model: Model, kept: Path) -> Float32:
    """Return the embeddings (n, d) of the views' boxes, once computed."""
    if not kept.exists():
        preprocessing = model.encoder.preprocessing
        key = (kept.name, preprocessing)
        if key not in _CUT:
            _CUT[key] = box_crops(views, preprocessing)
        found = model.encoder.encode_images(_CUT[key])
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, found)
    seen: Float32 = np.load(kept)
    return seen


def _part_of(view: View, part: tuple[float, float, float, float]) -> View:
    """Return a view of a part of an item's box, given by shares of the box."""
    x0, y0, x1, y1 = view.thing.box
    low, sides = np.array([x0, y0]), np.array([x1 - x0, y1 - y0])
    left, top = low + sides * part[:2]
    right, bottom = low + sides * part[2:]
    box = (float(left), float(top), float(right), float(bottom))
    return replace(view, thing=replace(view.thing, box=box))


def _whole(view: View) -> View:
    return replace(view, thing=replace(view.thing, box=WHOLE))


class Seen:
    """What an encoder sees of a set: whole photos, the items' boxes, the shop photos' regions."""

    def __init__(self, items: ItemSet, model: Model, regions: str, features: Path) -> None:
        self.users, self.shops = items.views("user"), items.views("shop")
        folder = features / model.fingerprint
        name = f"{items.name}-{len(self.shops)}-shop"
        views = [*self.users, *self.shops]
        self.boxes = _encoded(views, model, folder / f"{name}-boxes.npy")
        self.whole = _encoded([_whole(v) for v in views], model, folder / f"{name}-wholes.npy")
        parts = [_part_of(view, part) for view in self.shops for part in _NINE]
        self.parts = _encoded(parts, model, folder / f"{name}-parts.npy")
        out = folder / f"{name}-{resolve_effort(regions, model.capabilities)}"
        photos = [
            LabelledImage(v.photo.path, v.photo.width, v.photo.height, ()) for v in self.shops
        ]
        cache = write_features(photos, model, regions, out)
        seen = [cache[i].embeddings for i in range(len(cache))]
        self.regions, self.counts = np.concatenate(seen), np.array([len(each) for each in seen])

    def ranks(self, way: str, head: Callable[[Float32], Float32]) -> ItemRanks:
        """Rank the shop's photos for each user's item; way: see WAYS."""
        count = len(self.users)
        queries = head((self.whole if way == "photos" else self.boxes)[:count])
        if way in _SHARPNESS:
            scores = self.local(way, queries, head)
        elif way == "users":  # the gallery has other users' photos of the items as well
            return self._among_users(head)
        else:
            scores = queries @ head((self.boxes if way == "boxes" else self.whole)[count:]).T
        asked, sold = ([v.identity for v in each] for each in (self.users, self.shops))
        return rank_items(scores, asked, sold)

    def local(self, way: str, queries: Float32, head: Callable[[Float32], Float32]) -> Float32:
        """Score the shop's photos (q, s) by all that is kept of each: its regions, or parts."""
        kept, counts = self.regions, self.counts
        if way == "parts":
            kept, counts = self.parts, np.full(len(self.shops), len(_NINE))
        found = queries @ head(kept).T
        return np.stack([soft_max_over_regions(each, counts, _SHARPNESS[way]) for each in found])

    def _among_users(self, head: Callable[[Float32], Float32]) -> ItemRanks:
        every = head(self.boxes)
        count = len(self.users)
        scores = every[:count] @ every.T
        names = [v.identity for v in [*self.users, *self.shops]]
        found = []
        for i, name in enumerate(names[:count]):
            others = np.delete(np.arange(len(names)), i)
            found.append(rank_items(scores[i : i + 1, others], [name], [names[o] for o in others]))
        return ItemRanks.joined(found)


_TOWER = {False: "frozen", True: "learns"}

REGIONS = "normal"  # of the shop's photos
PARTS_SHARPNESS = 15.0  # chosen on items-val

_NEAR, _FAR = (0.0, 0.6), (0.4, 1.0)
_NINE = [(x[0], y[0], x[1], y[1]) for x in ((0, 1), _NEAR, _FAR) for y in ((0, 1), _NEAR, _FAR)]
"""The item's box, its halves and its quarters, of .6 of a side each."""

_SHARPNESS = {"regions": ITEM_SHARPNESS, "parts": PARTS_SHARPNESS}

WAYS = {
    "photos": "whole photo with whole photos",
    "whole": "box with whole photos",
    "boxes": "box with boxes",
    "regions": "box with photos' regions",
    "parts": "box with nine parts of boxes",
    "users": "box with boxes, of users too",
}
"""Query and gallery by name, scores over regions and parts by soft maximum; "regions" is what
`finesight search --item` compares."""


class Study:
    """The sets, the models that were trained, and what they find."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.model = load_model(options.model)
        assert self.model.directory is not None
        self.directory = self.model.directory
        self.kept: Path = options.kept
        self.training = _part(read_items(options.scenes / options.training), options.images)
        self.validation = read_items(options.scenes / "items-val")
        self._towers: dict[tuple[bool, bool], FrozenTower] = {}

    @cached_property
    def test(self) -> ItemSet:
        """The set that is measured on."""
        return _part(read_items(self.options.scenes / self.options.test), self.options.images)

    def rows(self) -> list[tuple[bool, str]]:
        """Return whether the tower learns, and the name, of the rows that are asked for."""
        asked = self.options.rows or TRAINED
        found = [(tuned, row) for tuned in (False, True) for row in (TUNED if tuned else TRAINED)]
        return [
            (t, r) for t, r in found if r in asked and (self.options.tower in ("both", _TOWER[t]))
        ]

    def bundle(self, row: str, tuned: bool, seed: int) -> Path:
        """Return a trained bundle, trained now if it is not there yet."""
        about = TRAINED[row]
        name = f"{'tuned' if tuned else 'frozen'}-{'-'.join(about.losses)}-{about.captions}"
        name += f"{'-others' if about.others else ''}-{len(self.training.photos)}-{seed}"
        out = self.kept / name
        if not out.exists():
            print(out.name, file=sys.stderr)
            self._train(about, tuned, seed, out)
        return out

    def _train(self, about: Ingredients, tuned: bool, seed: int, out: Path) -> None:
        found = examples(self.training, CAPTIONS[about.captions])
        for name in SCENES if about.others else ():
            scenes = clevr_ds.load(self.options.scenes / name)
            found += described(scenes)[: self.options.others]
        recipe = LEARNING if tuned else FROZEN
        recipe = replace(recipe, losses=dict.fromkeys(about.losses, 1.0), seed=seed, unlabelled=0.5)
        if self.options.quick:
            recipe = replace(recipe, steps=30, validate_every=10)
        tokenizer = caption_tokenizer(self.directory, [str(each.caption) for each in found])
        network = begin_network(self.model.encoder, self.directory, tokenizer, seed)
        started = time.monotonic()
        parts = keep_parts(found)
        sampler = ViewSampler(parts, self.model.encoder.preprocessing.side, seed)
        learns = begin_tower(self.directory) if tuned else None
        if learns is not None:
            tower: TunedTower | FrozenTower = TunedTower(learns, sampler)
        else:
            maps = recipe.needs(OF_PAIRS) or not about.others
            if (about.others, maps) not in self._towers:
                rounds = 2 if self.options.quick else ROUNDS
                first = ViewSampler(parts, sampler.side, 0)
                tower = FrozenTower(self.model.encoder, first, rounds, maps)
                self._towers[about.others, maps] = tower
                print(f"looked: {time.monotonic() - started:.0f} s", file=sys.stderr)
            tower = self._towers[about.others, maps]
        started = time.monotonic()
        learned = Learned.of(found, tokenizer)
        kept = out.with_name(out.name + ".checkpoint")
        out.parent.mkdir(parents=True, exist_ok=True)
        run = Run(kept, lambda step: print(f"  {step}", file=sys.stderr) if step.scores else None)
        score = train_items(network, tower, learned, self._held(), recipe, run)
        seconds = time.monotonic() - started
        provenance = {"validation": score, "seconds": seconds, "losses": list(about.losses)}
        if learns is not None:
            write_tuned_bundle(learns, network, tokenizer, self.directory, provenance, out)
        else:
            put_part(self.directory, out, provenance, partial(items_part, network.head))
        kept.unlink()

    def _held(self) -> Held:
        """The validation's items among the training's shop photos: few items would be too easy."""
        users, shops = self.validation.views("user"), self.validation.views("shop")
        more = self.training.views("shop")
        crops = box_crops([*users, *shops, *more], self.model.encoder.preprocessing)
        asked = [v.identity for v in users]
        sold = [*(v.identity for v in shops), *(("trained", v.identity) for v in more)]

        def score(found: Float32) -> float:
            return item_metrics(found[: len(users)] @ found[len(users) :].T, asked, sold)["mAP"]

        return Held(crops, score)

    def seen(self, model: Model) -> Seen:
        """Return what a model sees of the test set."""
        return Seen(self.test, model, REGIONS, self.options.features)


def _part(items: ItemSet, photos: int | None) -> ItemSet:
    return items if photos is None else replace(items, photos=items.photos[:photos])


Figures = dict[str, ItemRanks]  # by way


def measure(study: Study, seeds: list[int]) -> dict[tuple[str, str], list[Figures]]:
    """Return what every row finds, a figure per seed; rows are (tower, name)."""
    plain = study.seen(study.model)
    found: dict[tuple[str, str], list[Figures]] = {}
    zero = {way: plain.ranks(way, lambda vectors: vectors) for way in WAYS}
    found["-", "zero-shot"] = [zero]
    for tuned, row in study.rows():
        for seed in seeds:
            model = load_model(str(study.bundle(row, tuned, seed)))
            seen = study.seen(model) if tuned else plain
            head = model.need_item_head()
            figures = {way: seen.ranks(way, head) for way in WAYS}
            found.setdefault((_TOWER[tuned], row), []).append(figures)
    return found


def table(found: dict[tuple[str, str], list[Figures]]) -> None:
    """Print mAP of every way, mean ± spread over the seeds, and top-k of the regions."""
    rows: list[list[object]] = []
    for (tower, name), figures in found.items():
        cells: list[object] = []
        for way in WAYS:
            values = [100 * each[way].average_precision.mean() for each in figures]
            cells.append(_spread(values))
        for k in (1, 5, 20):
            values = [100 * each["parts"].metrics((k,))[f"top-{k}"] for each in figures]
            cells.append(float(np.mean(values)))
        rows.append([name, tower, *cells])
    heads = ["trained with", "tower", *WAYS, "top-1", "top-5", "top-20"]
    print_table(heads, rows)


def _spread(values: list[float]) -> str:
    mean = float(np.mean(values))
    return f"{mean:.1f}" if len(values) < 2 else f"{mean:.1f} ± {np.std(values, ddof=1):.1f}"


def print_levels(found: dict[tuple[str, str], list[Figures]], users: list[View]) -> None:
    """Print mAP of "box with parts" by what makes an item hard to find."""
    chosen = {key: figures for key, figures in found.items() if not key[1].startswith("  ")}
    first = [f"{name} ({tower})" if tower != "-" else name for tower, name in chosen]
    rows: list[list[object]] = []
    for subset, of in by_level(users).items():
        cells = [
            float(np.mean([100 * each["parts"].average_precision[of].mean() for each in figures]))
            for figures in chosen.values()
        ]
        photos = found["-", "zero-shot"][0]["photos"].average_precision[of].mean()
        rows.append([subset, int(of.sum()), 100 * float(photos), *cells])
    print_table(["mAP, box with parts", "queries", "zero-shot photos", *first], rows)


def gains(found: dict[tuple[str, str], list[Figures]]) -> None:
    """Print each ingredient's gain over ArcFace with its 95 % interval over queries and seeds."""
    rows: list[list[object]] = []
    for (tower, name), figures in found.items():
        base = found.get((tower, "+ ArcFace"))
        if base is None or name == "+ ArcFace":
            continue
        pairs = [
            100 * (one["parts"].average_precision - other["parts"].average_precision)
            for one, other in zip(figures, base, strict=False)
        ]
        difference = np.mean(pairs, axis=0)
        rows.append([name.strip(), tower, gain(difference, 1000)])
    if rows:
        print_table(["gain over + ArcFace", "tower", "mAP [95 %]"], rows)


def sheet(study: Study, bundle: Path, out: Path, count: int = 12) -> None:
    """Draw users' photos with their boxes, each before the five shop photos that come first."""
    model = load_model(str(bundle))
    seen = study.seen(model)
    head = model.need_item_head()
    scores = seen.local("parts", head(seen.boxes[: len(seen.users)]), head)
    side, rows = 120, np.linspace(0, len(seen.users) - 1, count).astype(int)
    page = Image.new("RGB", (6 * side + 20, count * side), "white")
    for line, number in enumerate(rows):
        view = seen.users[int(number)]
        page.paste(_tile(view, side, (255, 200, 0)), (0, line * side))
        for place, shop in enumerate(np.argsort(-scores[number], kind="stable")[:5]):
            right = seen.shops[shop].identity == view.identity
            tile = _tile(seen.shops[shop], side, (0, 170, 60) if right else None)
            page.paste(tile, (side + 20 + place * side, line * side))
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out, optimize=True)


def _tile(view: View, side: int, color: tuple[int, int, int] | None) -> Image.Image:
    """A photo at side × side; framed where it is a right answer, boxed where it is a query."""
    tile = read_image(view.photo.path).resize((side, side))
    pen = ImageDraw.Draw(tile)
    if color is not None and view.photo.source == "user":
        x0, y0, x1, y1 = (round(edge * (side - 1)) for edge in view.thing.box)
        pen.rectangle((x0, y0, x1, y1), outline=color, width=2)
    elif color is not None:
        pen.rectangle((0, 0, side - 1, side - 1), outline=color, width=4)
    return tile


def main() -> None:
    """Run the rows that are asked for and print their tables."""
    parser = arguments(__doc__)
    parser.add_argument("--kept", type=Path, default=CACHE / "items", help="trained bundles")
    parser.add_argument("--training", default="items-train")
    parser.add_argument("--test", default="items-test", help="items-val while settings are chosen")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", action="append", help="of the table; repeatable; all if not")
    parser.add_argument("--only-train", action="store_true", help="measure nothing yet")
    parser.add_argument("--tower", default="both", choices=["both", "frozen", "learns"])
    parser.add_argument("--sheet", type=Path, help="where the picture sheet of the last row goes")
    options = parser.parse_args()
    options.images = 160 if options.quick else None
    options.others = 200 if options.quick else None
    if options.quick:
        options.seeds, options.kept = 1, options.kept / "quick"
    study, seeds = Study(options), list(range(options.seeds))
    if options.only_train:
        for seed in seeds:
            for tuned, row in study.rows():
                study.bundle(row, tuned, seed)
        return
    users, shops = (study.test.views(source) for source in ("user", "shop"))
    identities = len({view.identity for view in shops})
    print(
        f"{study.test.name}: {len(users)} users' items, {len(shops)} shop photos of {identities} "
        f"items, none trained on ({len(study.training.views('shop'))} items in "
        f"{len(study.training.photos)} photos were); {options.model}; seeds: {options.seeds}\n"
    )
    print("mAP, %, by query and gallery: " + "; ".join(f"{k}: {v}" for k, v in WAYS.items()))
    found = measure(study, seeds)
    table(found)
    print()
    gains(found)
    print()
    print_levels(found, study.test.views("user"))
    if options.sheet is not None:
        tuned, row = study.rows()[-1]
        sheet(study, study.bundle(row, tuned, 0), options.sheet)


if __name__ == "__main__":
    main()
