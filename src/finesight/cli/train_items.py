"""`finesight train items`: from shop and user photos to a bundle that finds the very same thing."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.options import JsonOption
from finesight.cli.output import say
from finesight.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from finesight.models import Model
    from finesight.research.datasets import ItemSet, View
    from finesight.research.training.items.examples import Example
    from finesight.research.training.items.training import Held, ItemProgress, ItemRecipe

ROUNDS = 8  # views of every photo that a frozen tower looks at


def items(
    datasets: Annotated[
        list[Path],
        typer.Argument(help="Shop and user photos: DeepFashion2's, or `finesight render`'s."),
    ],
    validation: Annotated[
        Path, typer.Option(help="Such photos of other items, whose mAP chooses the best weights.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the bundle with its item head.")],
    model: Annotated[str, typer.Option(help="The bundle to begin with.")] = "mini",
    losses: Annotated[
        str, typer.Option(help="Any of arcface, itc, itm, box and mlm, with commas between.")
    ] = "arcface",
    captions: Annotated[
        str,
        typer.Option(
            help="What is said of the items: template, category or detailed (from the annotation), "
            "or a file of captions."
        ),
    ] = "template",
    described: Annotated[
        list[Path] | None,
        typer.Option(
            help="Rendered scenes whose objects teach words alone, beside the items; repeatable."
        ),
    ] = None,
    tune: Annotated[
        bool, typer.Option(help="Train the vision tower too; collections are then indexed anew.")
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Updates at most.")] = 300,
    batch: Annotated[int, typer.Option(min=4, help="Photos in an update.")] = 192,
    rate: Annotated[float, typer.Option(min=0, help="The highest learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option(min=0, help="Decides views, order and weights.")] = 0,
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
    _need_torch()
    from finesight.models import load_model
    from finesight.models.bundle import MANIFEST
    from finesight.research.training.items.training import ItemRecipe

    started = time.monotonic()
    loaded = load_model(model)
    if loaded.directory is None or not (loaded.directory / MANIFEST).is_file():
        raise InputError(f"{model} is not a bundle: make one with `finesight export`")
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder")
    names = [name.strip() for name in losses.split(",") if name.strip()]
    recipe = ItemRecipe(
        losses=dict.fromkeys(names, 1.0), steps=steps, batch=batch, rate=rate, seed=seed
    )
    found = _examples(datasets, described or [], captions)
    held = _held(validation, loaded)
    provenance = {
        "command": shlex.join(["finesight", *sys.argv[1:]]),
        "datasets": [{"name": each.resolve().name} for each in datasets],
        "photos": len(found),
        "settings": asdict(recipe) | {"tune": tune, "captions": captions},
    }
    kept = out.with_name(out.name + ".checkpoint")
    score, agreement = _train(loaded, found, held, recipe, tune, provenance, kept, out)
    kept.unlink(missing_ok=True)
    result = {
        "out": str(out),
        "seconds": round(time.monotonic() - started),
        "validation": score,
        "onnx_cosine": agreement,
    }
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"{out}: trained in {result['seconds']} s, validation mAP {100 * score:.1f} %")


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "training needs PyTorch: pip install 'finesight[torch]'"
        ) from error


def _examples(datasets: list[Path], described: list[Path], captions: str) -> list[Example]:
    """Read the photos to learn from, with what is said of them."""
    from finesight.research.datasets import clevr_ds, read_items
    from finesight.research.training.items import examples

    found: list[Example] = []
    for place in datasets:
        items = read_items(place)
        _report_problems(items)
        found += examples.examples(items, _say(captions, items))
    if not any(each.identity is not None for each in found):
        raise InputError(
            f"{', '.join(map(str, datasets))}: no photo shows an item that others show too (its "
            "style is 0 everywhere): name a set with pairs"
        )
    for place in described:
        found += examples.described(clevr_ds.load(place))
    return found


def _say(captions: str, items: ItemSet) -> Callable[[View], str | None]:
    from finesight.research.datasets.captions import read_captions
    from finesight.research.training.items.examples import CAPTIONS, from_captions

    if captions in CAPTIONS:
        return CAPTIONS[captions]
    if not Path(captions).exists():
        raise InputError(
            f"unknown captions {captions!r}: use {', '.join(CAPTIONS)}, or name a file of captions"
        )
    return from_captions(read_captions(Path(captions)), items)


def _held(validation: Path, model: Model) -> Held:
    """Cut the validation's items, users' first, and say how well they find the shop's."""
    from finesight.research.datasets import read_items
    from finesight.research.evaluation.items import item_metrics
    from finesight.research.training.items.training import Held
    from finesight.research.training.items.views import box_crops
    from finesight.types import Float32

    items = read_items(validation).matched()
    _report_problems(items)
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

    return Held(crops, score)


def _train(
    model: Model,
    found: list[Example],
    held: Held,
    recipe: ItemRecipe,
    tune: bool,
    provenance: dict[str, Any],
    kept: Path,
    out: Path,
) -> tuple[float, float]:
    """Train and write the bundle; return the validation's score and the runtimes' agreement."""
    from finesight.research.training.items.export import put_items_into_bundle, write_tuned_bundle
    from finesight.research.training.items.start import (
        begin_network,
        begin_tower,
        caption_tokenizer,
    )
    from finesight.research.training.items.towers import FrozenTower, TunedTower
    from finesight.research.training.items.training import OF_PAIRS, Learned, train_items
    from finesight.research.training.items.views import ViewSampler, keep_parts

    assert model.directory is not None
    said = [each.caption for each in found if each.caption is not None]
    tokenizer = caption_tokenizer(model.directory, said)
    network = begin_network(model.encoder, model.directory, tokenizer, recipe.seed)
    side = model.encoder.preprocessing.side
    own = begin_tower(model.directory) if tune else None
    sampler = ViewSampler(keep_parts(found), side, recipe.seed)
    tower: FrozenTower | TunedTower
    if own is not None:
        tower = TunedTower(own, sampler)
    else:
        say(f"looking at {ROUNDS} views of each of {len(found)} things")
        tower = FrozenTower(model.encoder, sampler, ROUNDS, recipe.needs(OF_PAIRS))
    score = train_items(
        network,
        tower,
        Learned.of(found, tokenizer),
        held,
        recipe,
        about={"tune": tune, "model": model.fingerprint},
        checkpoint=kept,
        report=_report,
    )
    provenance = provenance | {"validation": round(score, 4)}
    if own is not None:
        agreement = write_tuned_bundle(own, network, tokenizer, model.directory, provenance, out)
    else:
        agreement = put_items_into_bundle(network, model.directory, provenance, out)
    return score, agreement


def _report(step: ItemProgress) -> None:
    parts = "  ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
    say(f"step {step.step}: validation mAP {100 * step.score:.1f} %  {parts}".rstrip())


def _report_problems(items: ItemSet) -> None:
    for problem in items.problems[:5]:
        say(f"finesight: left out: {problem}")
    if len(items.problems) > 5:
        say(f"finesight: and {len(items.problems) - 5} more were left out")
