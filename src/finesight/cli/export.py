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
    detector: Annotated[
        bool,
        typer.Option("--detector", help="Export OWLv2 as a detector of regions, not as a model."),
    ] = False,
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

      finesight export google/owlv2-base-patch16-ensemble owlv2 --detector

      finesight index ~/Pictures --regions detect:owlv2,area=0.0005
    """
    from finesight.errors import InputError, need
    from finesight.models import load_model

    for module in ("torch", "onnx"):
        need(module, "exporting needs PyTorch and ONNX", "torch")
    from finesight.research.training.bundle_export import export_model
    from finesight.research.training.detector_export import export_detector

    if detector:
        if precision not in ("auto", "fp32"):
            raise InputError(f"a detector is exported in fp32, not in {precision}")
        difference = export_detector(model, out)
        result = {"detector": str(out), "difference": difference}
        text = f"{out}  largest difference to the original {difference:.1e}"
        typer.echo(json.dumps(result) if as_json else text)
        return
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
