"""`finesight train`: train the networks that finesight uses, from a dataset to a bundle."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.options import JsonOption
from finesight.cli.train_fusion import fusion
from finesight.cli.train_items import items
from finesight.cli.train_matcher import matcher
from finesight.cli.train_objectness import objectness
from finesight.errors import MissingDependencyError

if TYPE_CHECKING:
    from rich.progress import Progress

    from finesight.research.training.encoder.training import Progress as Step
    from finesight.research.training.encoder.training import TrainingSettings

QUICK_STEPS = 120

app = typer.Typer(
    no_args_is_help=True, help="Train encoders, fusions, matchers, items and objectness."
)


@app.callback()
def train() -> None:
    """Train the networks that finesight uses; needs PyTorch."""


app.command()(fusion)
app.command()(matcher)
app.command()(items)
app.command()(objectness)


@app.command()
def encoder(
    scenes: Annotated[
        list[Path], typer.Option(help="A folder that `finesight render` wrote; may be repeated.")
    ],
    validation: Annotated[
        Path, typer.Option(help="Scenes of other object instances, to measure progress on.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write the model bundle to.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Updates of 256 crops; about 2 a second on 2 cores.")
    ] = None,
    batch: Annotated[int, typer.Option(min=2, help="Crops in an update.")] = 256,
    rate: Annotated[float, typer.Option(min=0, help="The highest learning rate.")] = 2e-3,
    start: Annotated[
        str | None, typer.Option(help="Go on from this bundle's weights, such as mini.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the crops, words and weights.")] = 0,
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
    load, train_encoder, export_small_clip, settings_type = _training()
    from finesight import load_model
    from finesight.encoders.dense import DenseEntry
    from finesight.models.bundle import DEFAULT_REGIONS, write_manifest

    started = time.monotonic()
    chosen = steps or (QUICK_STEPS if quick else settings_type().steps)
    settings: TrainingSettings = settings_type(steps=chosen, batch=batch, rate=rate, seed=seed)
    begin = load_model(start).directory if start else None
    data = load(scenes, validation)
    kept = checkpoint or out.with_name(out.name + ".checkpoint")
    with _bar(chosen) as bar:
        trained = train_encoder(
            data.training,
            data.validation,
            data.concepts,
            settings,
            start=begin,
            checkpoint=kept,
            report=_reporter(bar, chosen, batch),
        )
    agreement = export_small_clip(trained.network, trained.tokenizer, out)
    scores = {name: round(value, 4) for name, value in trained.scores.items()}
    scores["onnx_cosine"] = round(agreement, 6)
    write_manifest(
        out,
        name=out.name,
        width=trained.network.settings.width,
        proposer={"kind": "effort", "regions": DEFAULT_REGIONS},
        prompt="a photo of a {}",
        provenance=_provenance(data.sources, out, settings, begin),
        scores=scores,
        dense=DenseEntry(trained.network.settings.stride),
        knows={"things": data.concepts.classes, "colors": data.concepts.colors},
    )
    kept.unlink(missing_ok=True)
    result = {"bundle": str(out), "seconds": round(time.monotonic() - started), "scores": scores}
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"{out}: trained in {result['seconds']} s")
        for name, value in scores.items():
            typer.echo(f"  {name:<12} {value:.4f}")


def _training() -> tuple[Any, Any, Any, Any]:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "training needs PyTorch: pip install 'finesight[torch]'"
        ) from error
    from finesight.research.training.encoder.training import TrainingSettings, train_encoder
    from finesight.research.training.export import export_small_clip
    from finesight.research.training.rendered import load_rendered

    return load_rendered, train_encoder, export_small_clip, TrainingSettings


def _bar(steps: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.completed}/" + str(steps)),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _reporter(bar: Progress, steps: int, batch: int) -> Callable[[Step], None]:
    """A function that shows each step on the bar and each validation on a line of its own."""
    task = bar.add_task("", total=steps)
    started: list[tuple[float, int]] = []

    def report(step: Step) -> None:
        now = time.monotonic()
        started[:] = started or [(now, step.step)]
        seconds, done = now - started[0][0], step.step - started[0][1]
        rate = batch * done / seconds if seconds else 0.0
        text = f"loss {step.loss:.3f}  {rate:.0f} crops/s"
        bar.update(task, completed=step.step, description=text)
        if step.scores is not None:
            scores = "  ".join(f"{name} {value:.3f}" for name, value in step.scores.items())
            bar.console.print(f"step {step.step}: {text}  {scores}", highlight=False)

    return report


def _provenance(
    sources: list[dict[str, Any]], out: Path, settings: TrainingSettings, start: Path | None
) -> dict[str, Any]:
    """How to make this model again; folders by name, as their paths mean nothing elsewhere."""
    import numpy
    import PIL
    import torch

    from finesight.models.bundle import read_manifest

    command = ["finesight", "train", "encoder"]
    *training, validation = (source["name"] for source in sources)
    command += [word for name in training for word in ("--scenes", name)]
    command += ["--validation", validation, "--out", out.name]
    command += ["--steps", str(settings.steps), "--batch", str(settings.batch)]
    command += ["--rate", str(settings.rate)]
    earlier: dict[str, Any] = {}
    if start is not None:
        command += ["--start", start.name]
        earlier = {"start": read_manifest(start).provenance}
    return {
        "command": shlex.join([*command, "--seed", str(settings.seed)]),
        "settings": asdict(settings),
        "scenes": sources[:-1],
        "validation": sources[-1],
        "versions": {
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "pillow": PIL.__version__,
        },
        **earlier,
    }
