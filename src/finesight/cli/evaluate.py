"""`finesight evaluate`: how well a model finds what is in annotated scenes, or what is said."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.evaluate_captions import evaluate_captions
from finesight.cli.evaluate_items import evaluate_items
from finesight.cli.options import JsonOption, ModelOption
from finesight.cli.output import progress_bar

if TYPE_CHECKING:
    from finesight.models import Model
    from finesight.research.datasets import LabelledSet


def evaluate(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Scenes that `finesight render` wrote, a JSON file of COCO or LVIS, or a folder "
            "of Unity Perception; for captions: scenes, or a JSON file of Karpathy's splits, an "
            "evaluation list or captions by image."
        ),
    ],
    model: ModelOption = None,
    images: Annotated[
        Path | None, typer.Option(help="The folder of the images that a JSON file names.")
    ] = None,
    verified: Annotated[
        bool,
        typer.Option(
            "--verified", help="Rank only images in which a class was looked for (LVIS says)."
        ),
    ] = False,
    scale: Annotated[
        bool,
        typer.Option(
            "--scale", help="Measure instead how small a thing may be in a crop and be named."
        ),
    ] = False,
    protocol: Annotated[
        str,
        typer.Option(
            help="What is asked for: classes, captions (images and sentences), or items (the same "
            "thing in a shop's photo)."
        ),
    ] = "classes",
    split: Annotated[
        str | None, typer.Option(help="Captions: the split of Karpathy's file; else test.")
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            help="Captions, items: where to look, as in `finesight index`; else as the model."
        ),
    ] = None,
    pool: Annotated[
        Path | None, typer.Option(help="Captions: file names of a larger pool (Flickr30K-FG).")
    ] = None,
    judgements: Annotated[
        Path | None, typer.Option(help="Captions: the folder with ECCV Caption's and CxC's files.")
    ] = None,
    matched_only: Annotated[
        bool,
        typer.Option("--matched-only", help="Items: leave out those without a shop photo."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print class-prompt Recall@k, overall and by object size, beside the paper's numbers.

    With --protocol captions: recall of images and sentences in both directions, rsum, COCO's
    5 x 1K, mAP@R where more than one answer is true, and hard negatives where there are some.

    With --protocol items: mAP and top-1 to top-20 of users' items among the shop's photos, on true
    and on detected boxes, for DeepFashion2 and what `finesight render identities` draws.

    Examples:

      finesight evaluate scenes/test --model mini

      finesight evaluate instances_val2017.json --images val2017 --json

      finesight evaluate scenes/val --model mini --scale

      finesight evaluate dataset_coco.json --protocol captions --images coco --split test

      finesight evaluate deepfashion2/validation --protocol items --model items-model
    """
    from finesight.errors import InputError

    if matched_only and protocol != "items":
        raise InputError("--matched-only needs --protocol items")
    if protocol == "items":
        if scale or verified or any(o is not None for o in (images, split, pool, judgements)):
            raise InputError("items are evaluated with --model, --regions and --matched-only alone")
        evaluate_items(dataset, model, regions, matched_only, as_json)
        return
    if protocol == "captions":
        if scale or verified:
            raise InputError("--scale and --verified are about classes, not captions")
        evaluate_captions(dataset, model, images, split, regions, pool, judgements, as_json)
        return
    if protocol != "classes":
        raise InputError(f"unknown protocol {protocol!r}: use classes, captions or items")
    if any(option is not None for option in (split, regions, pool, judgements)):
        raise InputError("--split, --regions, --pool and --judgements need --protocol captions")
    from finesight.models import DEFAULT, load_model
    from finesight.research.datasets import read_dataset
    from finesight.research.evaluation.class_prompts import evaluate_class_prompts
    from finesight.research.evaluation.paper import format_table

    scenes = read_dataset(dataset, images)
    loaded = load_model(model or DEFAULT)
    if scale:
        _print_scale(scenes, loaded, as_json)
        return
    with progress_bar("evaluating", "images", len(scenes.images)) as advance:
        rows = evaluate_class_prompts(scenes, loaded, advance, verified)
    typer.echo(json.dumps([row.plain() for row in rows]) if as_json else format_table(rows))


def _print_scale(scenes: "LabelledSet", model: "Model", as_json: bool) -> None:
    """Print the share of objects named at every size, keep the effective scale in the bundle."""
    from finesight.cli.output import say
    from finesight.research.evaluation.scale import FILLS, effective_scale

    with progress_bar("evaluating", "images", len(scenes.images)) as advance:
        found = effective_scale(scenes, model, advance)
    kept = model.bundle is not None and model.bundle.keep_scores(effective_scale=found.effective)
    if as_json:
        shares = dict(zip(map(str, FILLS), found.named, strict=True))
        typer.echo(json.dumps({"effective_scale": found.effective, "named": shares}))
    else:
        typer.echo("side of the object over the crop's: named right (objects)")
        for fill, share, count in zip(FILLS, found.named, found.objects, strict=True):
            typer.echo(f"  {fill:<5} {100 * share:5.1f} %  ({count})" if count else f"  {fill:<5}")
        typer.echo(f"effective scale {found.effective}: half of what fills a crop is still named")
    if not kept:
        say("not kept: only a bundle's finesight.json can hold it (see `finesight export`)")
