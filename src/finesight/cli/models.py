"""`finesight models` and `finesight export`: what there is to choose from, and any model beside."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption, option
from finesight.cli.output import say, show


def models(as_json: JsonOption = False) -> None:
    """List models: bundled, in the hub's cache, and recommended, with size, languages and speed.

    Any other repository of the hub or folder with a CLIP-like model can be named as well.
    """
    from finesight.models.catalogue import list_models

    found = list_models()
    lines = [f"{'model':<46}{'':<13}{'size':>9}  {'languages':<18}{'input':>6}  speed"]
    for model in found:
        size = "" if model.megabytes is None else f"{model.megabytes:.0f} MB"
        lines.append(
            f"{model.source:<46}{model.status:<13}{size:>9}  {model.languages:<18}"
            f"{model.side or '':>6}  {model.speed}"
        )
    show([asdict(model) for model in found], lines, as_json)


def export(
    model: Annotated[
        str, typer.Argument(help="A checkpoint's folder, a repository of the hub, or a bundle.")
    ],
    out: Annotated[Path, typer.Argument(help="The bundle's folder, which must not be there.")],
    precision: Annotated[
        str, option("fp32, fp16, int8 (fast on CPUs), or auto: int8 where it holds.")
    ] = "auto",
    detector: Annotated[
        bool, option("Export OWLv2 as a detector of regions, not as a model.", "--detector")
    ] = False,
    dense: Annotated[
        bool,
        option(
            "Also write what reads many windows out of one canvas (--regions dense448); the "
            "bundle grows by the size of the image tower.",
            "--dense",
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
        line = f"{out}  largest difference to the original {difference:.1e}"
        show({"detector": str(out), "difference": difference}, [line], as_json)
        return
    chosen, found = export_model(
        load_model(model), out, precision, lambda doing: say(f"{model}: {doing} ..."), dense
    )
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    lines = [f"{out}  {chosen}  {size / 1e6:.1f} MB"]
    for tower, cosine in found.items():
        lines.append(f"  {tower:<6} lowest cosine to the original {cosine:.6f}")
    show({"bundle": str(out), "precision": chosen, "cosine": found}, lines, as_json)
