"""`finesight train objectness`: teach a bundle where something is, from the boxes of a dataset."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption
from finesight.cli.output import progress_bar, say
from finesight.errors import InputError, MissingDependencyError


def objectness(
    dataset: Annotated[
        list[Path],
        typer.Option(help="Annotated images; their boxes are used, not their names. Repeatable."),
    ],
    model: Annotated[str, typer.Option(help="A bundle: mini, or what `finesight export` wrote.")],
    out: Annotated[Path, typer.Option(help="The folder for the bundle that tells objects.")],
    images: Annotated[
        Path | None, typer.Option(help="The folder of the images that a JSON file names.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Times through all images.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Decides order and weights.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Teach a model where something is, so that it looks closely only there.

    With it, `finesight index --effort` looks at an image in a few encoder passes instead of
    hundreds: one over a small canvas, and one for each thing it shows.

    Examples:

      finesight train objectness --dataset scenes/train --model mini --out my-model
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "training needs PyTorch: pip install 'finesight[torch]'"
        ) from error
    from finesight.encoders.onnx import OnnxEncoder
    from finesight.models import load_model
    from finesight.models.bundle import MANIFEST, add_objectness
    from finesight.research.datasets import read_dataset
    from finesight.research.training.finder.training import (
        ObjectnessTraining,
        annotated,
        canvas_cost,
        export_objectness,
        train_objectness,
    )

    started = time.monotonic()
    loaded = load_model(model)
    folder, encoder = loaded.directory, loaded.encoder
    bundled = folder is not None and (folder / MANIFEST).is_file()
    if folder is None or not bundled or not isinstance(encoder, OnnxEncoder):
        raise InputError(
            f"{model} is not a bundle, which could hold what is learned: make one of it with "
            f"`finesight export {model} OUT`"
        )
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder")
    sets = [read_dataset(each, images) for each in dataset]
    labelled = [image for each in sets for image in each.images]
    settings = ObjectnessTraining(epochs=epochs, seed=seed)
    losses: list[float] = []
    with progress_bar("training", "epochs", epochs) as advance:

        def report(epoch: int, loss: float) -> None:
            losses.append(loss)
            advance(epoch)
            say(f"epoch {epoch}: loss {loss:.4f}")

        trained = train_objectness(annotated(labelled), encoder.preprocessing, settings, report)
    shutil.copytree(folder, out)
    export_objectness(trained, out)
    cost = canvas_cost(out, max(settings.canvases))
    provenance = {
        "command": shlex.join(["finesight", *sys.argv[1:]]),
        "datasets": [
            {"name": path.name, "images": len(each.images)}
            for path, each in zip(dataset, sets, strict=True)
        ],
        "settings": asdict(settings),
    }
    add_objectness(out, cost, provenance)
    seconds = round(time.monotonic() - started)
    if as_json:
        typer.echo(json.dumps({"bundle": str(out), "seconds": seconds, "loss": losses[-1]}))
    else:
        typer.echo(f"{out}: tells where objects are, trained in {seconds} s, loss {losses[-1]:.4f}")
