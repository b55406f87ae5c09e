"""`finesight evaluate`: how well a model finds what is in annotated scenes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption, ModelOption
from finesight.cli.output import progress_bar


def evaluate(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Scenes that `finesight render` wrote, a JSON file of COCO or LVIS, or a folder "
            "of Unity Perception."
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
    as_json: JsonOption = False,
) -> None:
    """Print class-prompt Recall@k, overall and by object size, beside the paper's numbers.

    Examples:

      finesight evaluate scenes/test --model mini

      finesight evaluate instances_val2017.json --images val2017 --json
    """
    from finesight.datasets import read_dataset
    from finesight.evaluation.class_prompts import evaluate_class_prompts
    from finesight.evaluation.paper import format_table
    from finesight.models import DEFAULT, load_model

    scenes = read_dataset(dataset, images)
    loaded = load_model(model or DEFAULT)
    with progress_bar("evaluating", "images", len(scenes.images)) as advance:
        rows = evaluate_class_prompts(scenes, loaded, advance, verified)
    typer.echo(json.dumps([row.plain() for row in rows]) if as_json else format_table(rows))
