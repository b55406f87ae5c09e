"""`finesight train finder`: teach a bundle where something is, from the boxes of a dataset."""

from __future__ import annotations

from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from finesight.cli.options import JsonOption
from finesight.cli.output import say
from finesight.cli.training import (
    EpochsOption,
    ImagesOption,
    OutOption,
    SeedOption,
    begin,
    finish,
    shown,
)


def finder(
    dataset: Annotated[
        list[Path],
        typer.Option(help="Annotated images; their boxes are used, not their names. Repeatable."),
    ],
    model: Annotated[str, typer.Option(help="A bundle: mini, or what `finesight export` wrote.")],
    out: OutOption,
    images: ImagesOption = None,
    epochs: EpochsOption = 24,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train the finder of a model: where something is, so that only regions there are encoded.

    With it, `finesight index --effort` needs a few forward passes of the encoder per image instead
    of hundreds: one over a small canvas, and one for each thing it shows. A run that was
    interrupted goes on when the same command is given again.

    Examples:

      finesight train finder --dataset scenes/train --model mini --out my-model
    """
    run = begin(out)
    from finesight.encoders.onnx import OnnxEncoder
    from finesight.errors import InputError
    from finesight.research.datasets import read_dataset
    from finesight.research.training.finder.export import put_finder_into_bundle
    from finesight.research.training.finder.training import FinderTraining, annotated, train_finder
    from finesight.research.training.run import load_bundle, provenance

    loaded, bundle = load_bundle(model)
    if not isinstance(loaded.encoder, OnnxEncoder):
        raise InputError(f"{model} does not run in ONNX Runtime: export it with `finesight export`")
    sets = [read_dataset(each, images) for each in dataset]
    labelled = annotated([image for each in sets for image in each.images])
    settings = FinderTraining(epochs=epochs, seed=seed)
    with shown(run) as watched:
        trained, loss = train_finder(labelled, loaded.encoder.preprocessing, settings, watched)
    counts = zip(dataset, sets, strict=True)
    about = provenance(
        datasets=[{"name": path.name, "images": len(each.images)} for path, each in counts],
        settings=asdict(settings),
    )
    put_finder_into_bundle(trained, bundle, max(settings.canvases), about, out)
    said = f"tells where objects are, trained in {{seconds}} s, loss {loss:.4f}"
    finish(run, {"bundle": out, "loss": loss}, said, as_json)


@wraps(finder)
def objectness(**options: Any) -> None:
    """Do what `finesight train finder` does, under its old name."""
    say("finesight: `finesight train objectness` is `finesight train finder` now")
    finder(**options)
