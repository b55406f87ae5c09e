"""`finesight export`: make a bundle of any model."""

import json
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption
from finesight.cli.output import say


def export(
    model: Annotated[
        str, typer.Argument(help="A checkpoint's folder, a repository of the hub, or a bundle.")
    ],
    out: Annotated[Path, typer.Argument(help="The bundle's folder, which must not be there.")],
    precision: Annotated[
        str,
        typer.Option(help="fp32, fp16, int8 (fast on CPUs), or auto: int8 where it holds."),
    ] = "auto",
    dense: Annotated[
        bool,
        typer.Option(
            "--dense",
            help="Also write what reads many windows out of one canvas (--regions dense448); the "
            "bundle grows by the size of the image tower.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model as a bundle that runs without PyTorch, and compare it with the original.

    Examples:

      finesight export openai/clip-vit-base-patch32 clip-b32

      finesight index ~/Pictures --model clip-b32
    """
    from finesight.errors import MissingDependencyError
    from finesight.models import load_model

    try:
        from finesight.training.bundle_export import export_model
    except ImportError as error:
        raise MissingDependencyError(
            f"exporting needs PyTorch and ONNX ({error}): pip install 'finesight[torch]'"
        ) from error
    chosen, found = export_model(
        load_model(model), out, precision, lambda doing: say(f"{model}: {doing} ..."), dense
    )
    if as_json:
        typer.echo(json.dumps({"bundle": str(out), "precision": chosen, "cosine": found}))
    else:
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        typer.echo(f"{out}  {chosen}  {size / 1e6:.1f} MB")
        for tower, cosine in found.items():
            typer.echo(f"  {tower:<6} lowest cosine to the original {cosine:.6f}")
