"""`finesight train items`: from shop and user photos to a bundle that finds the very same thing."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.options import JsonOption, option
from finesight.cli.output import say, say_some
from finesight.cli.training import OutOption, SeedOption, begin, finish, shown
from finesight.errors import InputError

if TYPE_CHECKING:
    from finesight.models import Model
    from finesight.research.datasets.records import ItemSet
    from finesight.research.training.items.training import Held

ROUNDS = 8  # views of every photo that a frozen tower encodes


def items(
    datasets: Annotated[
        list[Path],
        typer.Argument(help="Shop and user photos: DeepFashion2's, or `finesight render`'s."),
    ],
    validation: Annotated[
        Path, option("Such photos of other items, whose mAP chooses the best weights.")
    ],
    out: OutOption,
    model: Annotated[str, option("The bundle to begin with.")] = "mini",
    losses: Annotated[
        str, option("Any of arcface, itc, itm, box and mlm, with commas between.")
    ] = "arcface",
    captions: Annotated[
        str,
        option(
            "The captions of the items: template, category or detailed (from the "
            "annotation), or a file of captions."
        ),
    ] = "template",
    described: Annotated[
        list[Path] | None,
        option("Rendered scenes whose objects teach words alone, beside the items; repeatable."),
    ] = None,
    tune: Annotated[
        bool, option("Train the vision tower too; collections are then indexed again.")
    ] = False,
    steps: Annotated[int, option("Updates at most.", min=1)] = 300,
    batch: Annotated[int, option("Photos in an update.", min=4)] = 192,
    rate: Annotated[float, option("The highest learning rate.", min=0)] = 1e-3,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train what tells an item from others of its kind, and put it into a copy of a bundle.

    Without --tune the bundle's embeddings stay what they are: collections made with it can be
    searched for items at once (`finesight search PHOTO@BOX --item --model OUT`). The losses itc,
    itm, box and mlm read captions; box learns where in a photo a caption's thing is. An interrupted
    run goes on when it is given again.

    Examples:

      finesight train items items-train --validation items-val --out mini-items

      finesight train items items-train --validation items-val --losses arcface,itc,itm,box
      --captions detailed --tune --out mini-items-tuned
    """
    run = begin(out)
    from finesight.research.training.export import put_part
    from finesight.research.training.items.examples import ItemRecipe, read_examples
    from finesight.research.training.items.export import items_part, write_tuned_bundle
    from finesight.research.training.items.start import start_items
    from finesight.research.training.items.training import train_items
    from finesight.research.training.run import load_bundle, provenance

    loaded, bundle = load_bundle(model)
    names = [name.strip() for name in losses.split(",") if name.strip()]
    recipe = ItemRecipe(
        losses=dict.fromkeys(names, 1.0), steps=steps, batch=batch, rate=rate, seed=seed
    )
    found = read_examples(datasets, described or [], captions, _left_out)
    held = _held(validation, loaded)
    if not tune:
        say(f"encoding {ROUNDS} views of each of {len(found)} things")
    started = start_items(loaded, bundle, found, recipe, None if tune else ROUNDS)
    about = {"tune": tune, "model": loaded.fingerprint}
    with shown(run, "steps") as watched:
        score = train_items(
            started.network, started.tower, started.learned, held, recipe, watched, about
        )
    about = provenance(
        datasets=[{"name": each.resolve().name} for each in datasets],
        photos=len(found),
        settings=asdict(recipe) | {"tune": tune, "captions": captions},
        validation=round(score, 4),
    )
    if started.learns is not None:
        agreement = write_tuned_bundle(
            started.learns, started.network, started.tokenizer, bundle, about, out
        )
    else:
        agreement = put_part(bundle, out, about, partial(items_part, started.network.head))
    said = f"trained in {{seconds}} s, validation mAP {100 * score:.1f} %"
    finish(run, {"out": out, "validation": score, "onnx_cosine": agreement}, said, as_json)


def _held(validation: Path, model: Model) -> Held:
    """Cut the validation's items, users' first, and say how well they find the shop's."""
    from finesight.research.datasets import read_items
    from finesight.research.evaluation.items import item_metrics
    from finesight.research.training.items.views import box_crops
    from finesight.types import Float32

    items = read_items(validation).matched()
    _left_out(items)
    queries, gallery = items.views("user"), items.views("shop")
    if not queries:
        raise InputError(
            f"{validation}: no item of a user's photo has a photo of the shop, so nothing can be "
            "validated: name a set that has both"
        )
    crops = box_crops([*queries, *gallery], model.encoder.preprocessing)
    asked, sold = [v.identity for v in queries], [v.identity for v in gallery]

    def score(found: Float32) -> float:
        users, shops = found[: len(asked)], found[len(asked) :]
        return item_metrics(users @ shops.T, asked, sold)["mAP"]

    return crops, score


def _left_out(items: ItemSet) -> None:
    say_some("finesight: left out", items.problems, "photos or items")
