"""`finesight evaluate`: how well a model finds classes, captioned images, and items."""

from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption, ModelOption
from finesight.cli.protocols import PROTOCOLS


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
            help="Captions, items: the region proposals, as in `finesight index`; else the model's."
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
    from finesight.research.evaluation.table import to_json

    if matched_only and protocol != "items":
        raise InputError("--matched-only needs --protocol items")
    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol!r}: use classes, captions or items")
    chosen = PROTOCOLS[protocol]
    options = {
        "images": images,
        "verified": verified,
        "scale": scale,
        "split": split,
        "regions": regions,
        "pool": pool,
        "judgements": judgements,
        "matched_only": matched_only,
    }
    if any(options[name] not in (None, False) for name in options if name not in chosen.options):
        raise InputError(chosen.refusal)
    figures, table = chosen.run(dataset, model, **{name: options[name] for name in chosen.options})
    typer.echo(to_json(figures) if as_json else table)
