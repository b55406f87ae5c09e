"""`finesight train encoder`: from rendered scenes to a small CLIP-like model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption
from finesight.cli.training import OutOption, SeedOption, begin, finish, shown

QUICK_STEPS = 120


def encoder(
    scenes: Annotated[
        list[Path], typer.Option(help="A folder that `finesight render` wrote; may be repeated.")
    ],
    validation: Annotated[
        Path, typer.Option(help="Scenes of other object instances, to measure progress on.")
    ],
    out: OutOption,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Updates of 256 crops; about 2 a second on 2 cores.")
    ] = None,
    batch: Annotated[int, typer.Option(min=2, help="Crops in an update.")] = 256,
    rate: Annotated[float, typer.Option(min=0, help="The highest learning rate.")] = 2e-3,
    start: Annotated[
        str | None, typer.Option(help="Go on from this bundle's weights, such as mini.")
    ] = None,
    seed: SeedOption = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Where an interrupted run is kept; next to --out if not given."),
    ] = None,
    quick: Annotated[bool, typer.Option(help="A minute of training, to try it out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a small CLIP-like model on rendered scenes and write it as a bundle.

    A run that was interrupted goes on when the same command is given again.

    Examples:

      finesight train encoder --scenes objects --scenes train --validation val --out my-model

      finesight train encoder --scenes train --validation val --out my-model --quick

      finesight train encoder --scenes mine --validation val --out better --start mini --rate 1e-3
    """
    run = begin(out, new=False, checkpoint=checkpoint)
    from finesight.models.bundle import Bundle
    from finesight.research.training.encoder.export import write_encoder_bundle
    from finesight.research.training.encoder.rendered import load_rendered
    from finesight.research.training.encoder.training import TrainingSettings, train_encoder
    from finesight.research.training.run import load_bundle, provenance

    steps = steps or (QUICK_STEPS if quick else TrainingSettings().steps)
    settings = TrainingSettings(steps=steps, batch=batch, rate=rate, seed=seed)
    begun = load_bundle(start)[1] if start else None
    data = load_rendered(scenes, validation)
    with shown(run, "steps") as watched:
        trained = train_encoder(data, settings, watched, start=begun)
    facts = {"scenes": data.sources[:-1], "validation": data.sources[-1]}
    if begun is not None:
        facts["start"] = Bundle.read(begun).provenance
    about = provenance(settings=asdict(settings), **facts)
    scores = write_encoder_bundle(trained, data.concepts, about, out)
    lines = "".join(f"\n  {name:<12} {value:.4f}" for name, value in scores.items())
    result = {"bundle": out, "scores": scores}
    finish(run, result, "trained in {seconds} s" + lines, as_json)
