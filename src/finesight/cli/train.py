"""`finesight train`: train the networks that finesight uses, from a dataset to a bundle.

Encoders, finders and fusions are trained here, matchers, items and words in the files beside.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from finesight.cli.options import ImagesOption, JsonOption, option
from finesight.cli.output import say
from finesight.cli.train_items import items
from finesight.cli.train_matcher import matcher
from finesight.cli.train_words import words
from finesight.cli.training import EpochsOption, OutOption, SeedOption, begin, finish, shown
from finesight.errors import InputError

QUICK_STEPS = 120


def encoder(
    scenes: Annotated[
        list[Path], option("A folder that `finesight render` wrote; may be repeated.")
    ],
    validation: Annotated[
        Path, option("Scenes of other object instances, to measure progress on.")
    ],
    out: OutOption,
    steps: Annotated[
        int | None, option("Updates of 256 crops; about 2 a second on 2 cores.", min=1)
    ] = None,
    batch: Annotated[int, option("Crops in an update.", min=2)] = 256,
    rate: Annotated[float, option("The highest learning rate.", min=0)] = 2e-3,
    start: Annotated[str | None, option("Go on from this bundle's weights, such as mini.")] = None,
    seed: SeedOption = 0,
    checkpoint: Annotated[
        Path | None, option("Where an interrupted run is kept; next to --out if not given.")
    ] = None,
    quick: Annotated[bool, option("A minute of training, to try it out.")] = False,
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
    from finesight.research.training.encoder.crops import load_rendered
    from finesight.research.training.encoder.export import write_encoder_bundle
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
    finish(run, {"bundle": out, "scores": scores}, "trained in {seconds} s" + lines, as_json)


def finder(
    dataset: Annotated[
        list[Path], option("Annotated images; their boxes are used, not their names. Repeatable.")
    ],
    model: Annotated[str, option("A bundle: mini, or what `finesight export` wrote.")],
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
    from finesight.research.datasets import read_dataset
    from finesight.research.training.export import put_part
    from finesight.research.training.finder.export import finder_part
    from finesight.research.training.finder.training import FinderTraining, train_finder
    from finesight.research.training.run import load_bundle, provenance

    loaded, bundle = load_bundle(model)
    if not isinstance(loaded.encoder, OnnxEncoder):
        raise InputError(f"{model} does not run in ONNX Runtime: export it with `finesight export`")
    sets = [read_dataset(each, images) for each in dataset]
    labelled = [image for each in sets for image in each.images]
    settings = FinderTraining(epochs=epochs, seed=seed)
    with shown(run) as watched:
        trained, loss = train_finder(labelled, loaded.encoder.preprocessing, settings, watched)
    counts = zip(dataset, sets, strict=True)
    about = provenance(
        datasets=[{"name": path.name, "images": len(each.images)} for path, each in counts],
        settings=asdict(settings),
    )
    put_part(bundle, out, about, partial(finder_part, trained, bundle, max(settings.canvases)))
    said = f"tells where objects are, trained in {{seconds}} s, loss {loss:.4f}"
    finish(run, {"bundle": out, "loss": loss}, said, as_json)


@wraps(finder)
def objectness(**options: Any) -> None:
    """Do what `finesight train finder` does, under its old name."""
    say("finesight: `finesight train objectness` is `finesight train finder` now")
    finder(**options)


def fusion(
    features: Annotated[
        list[Path], option("Features to train on, of `finesight features`; repeatable.")
    ],
    model: Annotated[str, option("The bundle whose features these are.")],
    out: OutOption,
    dataset: Annotated[
        Path | None, option("A dataset whose class names are the words to train with.")
    ] = None,
    vocabulary: Annotated[
        Path | None, option("A text file of words to train with, one a line.")
    ] = None,
    validation: Annotated[
        Path | None, option("Features of other images, to choose the best epoch.")
    ] = None,
    validation_dataset: Annotated[
        Path | None, option("Their labels: Recall@1 then chooses, without never-named classes.")
    ] = None,
    kind: Annotated[
        str, option("clusters, transformer, attention, weights, linear, mlp or table.")
    ] = "clusters",
    vectors: Annotated[int, option("Vectors kept per image.", min=1, max=64)] = 8,
    epochs: EpochsOption = 30,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train how the regions of an image become a few vectors, on features of a frozen model.

    Needs no labels: words to ask for, or none at all. A run that was interrupted goes on when the
    same command is given again.

    Examples:

      finesight features photos --model mini --out features/photos

      finesight train fusion --features features/photos --vocabulary words.txt --model mini --out m
    """
    run = begin(out)
    from finesight.research.networks.fusion import KINDS, FusionNetwork
    from finesight.research.training.export import put_part
    from finesight.research.training.features import join_features
    from finesight.research.training.fusion import training
    from finesight.research.training.fusion.data import hold_out, read_proxies
    from finesight.research.training.fusion.export import fusion_part
    from finesight.research.training.run import load_bundle, provenance

    if kind not in KINDS:
        raise InputError(f"unknown kind {kind!r}: use one of {', '.join(KINDS)}")
    loaded, bundle = load_bundle(model)
    cache = join_features(features)
    cache.check_own_regions(loaded, features[0])
    proxies = read_proxies(loaded, dataset, vocabulary)
    cache, validate = hold_out(cache, loaded, proxies, validation, validation_dataset)
    how: dict[str, Any] = {}
    if kind == "table":
        trained: FusionNetwork = training.fill_table(cache, proxies)
        vectors, score = 1, validate(trained)
    else:
        network = training.network_for(kind, loaded.encoder.width, vectors, proxies)
        settings = training.FusionTraining(epochs=epochs, seed=seed, losses={"rank": 1.0})
        with shown(run) as watched:
            trained, score = training.train_fusion(
                cache, network, settings, proxies, validate, watched
            )
        how = asdict(settings)
    about = provenance(
        features=[{"name": path.name, "images": len(cache)} for path in features],
        network=asdict(trained.settings),
        settings=how,
        validation=round(score, 4),
    )
    agreement = put_part(bundle, out, about, partial(fusion_part, trained, kind, vectors))
    said = f"fusion {kind} trained in {{seconds}} s, validation {score:.4f}"
    finish(run, {"bundle": out, "validation": score, "onnx_cosine": agreement}, said, as_json)


app = typer.Typer(
    no_args_is_help=True, help="Train encoders, finders, fusions, matchers, items and words."
)


@app.callback()
def train() -> None:
    """Train the networks that finesight uses; needs PyTorch."""


for command in (encoder, finder, fusion, matcher, items, words):
    app.command()(command)
app.command("objectness", hidden=True)(objectness)
