"""`finesight train fusion`: from cached features to a bundle that keeps k vectors per image."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from finesight.cli.options import JsonOption
from finesight.cli.training import EpochsOption, OutOption, SeedOption, begin, finish, shown
from finesight.errors import InputError


def fusion(
    features: Annotated[
        list[Path], typer.Option(help="Features to train on, of `finesight features`; repeatable.")
    ],
    model: Annotated[str, typer.Option(help="The bundle whose features these are.")],
    out: OutOption,
    dataset: Annotated[
        Path | None,
        typer.Option(help="A dataset whose class names are the words to train with."),
    ] = None,
    vocabulary: Annotated[
        Path | None, typer.Option(help="A text file of words to train with, one a line.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Features of other images, to choose the best epoch.")
    ] = None,
    validation_dataset: Annotated[
        Path | None,
        typer.Option(help="Their labels: Recall@1 then chooses, without never-named classes."),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(help="clusters, transformer, attention, weights, linear, mlp or table."),
    ] = "clusters",
    vectors: Annotated[int, typer.Option(min=1, max=64, help="Vectors kept per image.")] = 8,
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
    from finesight.research.training.features import join_features
    from finesight.research.training.fusion.data import hold_out, read_proxies
    from finesight.research.training.fusion.export import put_into_bundle
    from finesight.research.training.fusion.score_table import fill_table
    from finesight.research.training.fusion.training import (
        FusionTraining,
        network_for,
        train_fusion,
    )
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
        trained: FusionNetwork = fill_table(cache, proxies)
        vectors, score = 1, validate(trained)
    else:
        network = network_for(kind, loaded.encoder.width, vectors, proxies)
        settings = FusionTraining(epochs=epochs, seed=seed, losses={"rank": 1.0})
        with shown(run) as watched:
            trained, score = train_fusion(cache, network, settings, proxies, validate, watched)
        how = asdict(settings)
    about = provenance(
        features=[{"name": path.name, "images": len(cache)} for path in features],
        network=asdict(trained.settings),
        settings=how,
        validation=round(score, 4),
    )
    agreement = put_into_bundle(trained, bundle, kind, vectors, about, out)
    result = {"bundle": out, "validation": score, "onnx_cosine": agreement}
    said = f"fusion {kind} trained in {{seconds}} s, validation {score:.4f}"
    finish(run, result, said, as_json)
