"""`finesight evaluate`: how well a model finds what is in annotated scenes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption, ModelOption
from finesight.cli.output import progress_bar


def evaluate(
    dataset: Annotated[Path, typer.Argument(help="A folder that `finesight render` wrote.")],
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print class-prompt Recall@k, overall and by object size, beside the paper's numbers.

    Example: finesight evaluate scenes/test --model mini
    """
    from finesight.datasets.clevr_ds import load
    from finesight.evaluation.class_prompts import evaluate_class_prompts
    from finesight.evaluation.paper import format_table
    from finesight.models import DEFAULT, load_model

    scenes = load(dataset)
    loaded = load_model(model or DEFAULT)
    with progress_bar("evaluating", "images", len(scenes.images)) as advance:
        rows = evaluate_class_prompts(scenes, loaded, advance)
    typer.echo(json.dumps([row.plain() for row in rows]) if as_json else format_table(rows))
