"""`finesight train fusion`: from cached features to a bundle that keeps k vectors an image."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.options import JsonOption
from finesight.cli.output import progress_bar, say
from finesight.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from finesight.models import Model
    from finesight.research.datasets import LabelledSet
    from finesight.research.networks.fusion import FusionNetwork, FusionSettings
    from finesight.research.training.features import FeatureCache
    from finesight.research.training.fusion.proxies import Proxies
    from finesight.research.training.fusion.training import FusionProgress, FusionTraining, Validate

_HELD_OUT = 10  # without validation features, every tenth image validates


def fusion(
    features: Annotated[
        list[Path], typer.Option(help="Features to train on, of `finesight features`; repeatable.")
    ],
    model: Annotated[str, typer.Option(help="The bundle whose features these are.")],
    out: Annotated[Path, typer.Option(help="The folder for the bundle with its fusion.")],
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
    epochs: Annotated[int, typer.Option(min=1, help="Times through all images.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Decides order, proxies and weights.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Train how the regions of an image become a few vectors, on features of a frozen model.

    Needs no labels: words to ask for, or none at all. A run that was interrupted goes on when the
    same command is given again.

    Examples:

      finesight features photos --model mini --out features/photos

      finesight train fusion --features features/photos --vocabulary words.txt --model mini --out m
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "training needs PyTorch: pip install 'finesight[torch]'"
        ) from error
    from finesight.models import load_model
    from finesight.models.bundle import MANIFEST
    from finesight.research.networks.fusion import KINDS, FusionSettings
    from finesight.research.training.features import join_features
    from finesight.research.training.fusion.export import put_into_bundle
    from finesight.research.training.fusion.score_table import fill_table
    from finesight.research.training.fusion.training import FusionTraining

    started = time.monotonic()
    if kind not in KINDS:
        raise InputError(f"unknown kind {kind!r}: use one of {', '.join(KINDS)}")
    loaded = load_model(model)
    if loaded.directory is None or not (loaded.directory / MANIFEST).is_file():
        raise InputError(f"{model} is not a bundle: make one with `finesight export`")
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder")
    cache = join_features(features)
    _same_model(cache, loaded, features[0])
    proxies = _proxies(loaded, dataset, vocabulary)
    cache, validate = _validation(cache, loaded, proxies, validation, validation_dataset)
    kept = out.with_name(out.name + ".checkpoint")
    if kind == "table":
        trained: FusionNetwork = fill_table(cache, proxies)
        vectors, score, how = 1, validate(trained), {}
    else:
        clusters = kind == "clusters"
        network = FusionSettings(
            kind,
            loaded.encoder.width,
            vectors,
            geometry=clusters,
            directions=proxies.begin_with if clusters else (0, 0),
        )
        settings = FusionTraining(epochs=epochs, seed=seed, losses={"rank": 1.0})
        trained, score = _train(cache, network, settings, proxies, validate, kept)
        how = asdict(settings)
    provenance = {
        "command": shlex.join(["finesight", *sys.argv[1:]]),
        "features": [{"name": path.name, "images": len(cache)} for path in features],
        "network": asdict(trained.settings),
        "settings": how,
        "validation": round(score, 4),
    }
    agreement = put_into_bundle(trained, loaded.directory, kind, vectors, provenance, out)
    kept.unlink(missing_ok=True)
    seconds = round(time.monotonic() - started)
    result = {"bundle": str(out), "seconds": seconds, "validation": score, "onnx_cosine": agreement}
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"{out}: fusion {kind} trained in {seconds} s, validation {score:.4f}")


def _train(
    cache: FeatureCache,
    network: FusionSettings,
    settings: FusionTraining,
    proxies: Proxies,
    validate: Validate,
    kept: Path,
) -> tuple[FusionNetwork, float]:
    """Train with a progress bar and a line an epoch; `kept` is the checkpoint."""
    import torch

    from finesight.research.training.fusion.training import train_fusion

    with progress_bar("training", "epochs", settings.epochs) as advance:

        def report(step: FusionProgress) -> None:
            advance(step.epoch)
            done = f"epoch {step.epoch}: loss {step.loss:.4f}" if step.epoch else "before training:"
            say(f"{done}  validation {step.score:.4f}")

        return train_fusion(
            cache,
            network,
            settings,
            proxies,
            validate,
            checkpoint=kept,
            report=report,
            device="cuda" if torch.cuda.is_available() else "cpu",
        )


def _same_model(cache: FeatureCache, model: Model, folder: Path) -> None:
    if "region_model" in cache.settings:
        raise InputError(
            f"{folder} holds regions in the space of {cache.settings['region_model']}: this "
            "fusion merges regions of the model itself, so make features without --region-model"
        )
    if cache.settings["fingerprint"] != model.fingerprint:
        raise InputError(
            f"{folder} holds features of the model {cache.settings['model']}, not of "
            f"{model.source}: name that model, or make the features again"
        )


def _proxies(model: Model, dataset: Path | None, vocabulary: Path | None) -> Proxies:
    """Words where there are some, else the regions of the images themselves."""
    from finesight.research.datasets import read_dataset
    from finesight.research.training.fusion.proxies import TEMPLATES, build_proxies

    words: list[str] = []
    if dataset is not None:
        found = read_dataset(dataset)
        words += [name for name in found.classes if name not in found.never_named]
    if vocabulary is not None:
        try:
            lines = vocabulary.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{vocabulary} cannot be read as a text file: {error}") from error
        words += [line.strip() for line in lines if line.strip()]
        if not words:
            raise InputError(f"{vocabulary} holds no words: write one a line")
    shares = {"texts": 128, "directions": 64, "patches": 64} if words else {"patches": 256}
    return build_proxies(model.encoder, words, shares, TEMPLATES)


def _validation(
    cache: FeatureCache,
    model: Model,
    proxies: Proxies,
    features: Path | None,
    labels: Path | None,
) -> tuple[FeatureCache, Validate]:
    """Return what to train on and how to validate."""
    import torch

    from finesight.research.training.features import open_features, split_features
    from finesight.research.training.fusion.validation import AnswersOfRegions, RecallOfClasses

    ks = (1, 4, 8)
    if labels is not None and features is None:
        raise InputError("--validation-dataset needs the features of its images: --validation DIR")
    held_out = open_features(features) if features is not None else None
    if held_out is None:
        cache, held_out = split_features(cache, _HELD_OUT)
    else:
        _same_model(held_out, model, features or Path())
    if labels is not None:
        from finesight.research.datasets import read_dataset

        dataset: LabelledSet = read_dataset(labels)
        if len(dataset.images) != len(held_out):
            raise InputError(
                f"{features} holds {len(held_out)} images and {labels} {len(dataset.images)}: "
                "make the features of that dataset"
            )
        prompts = [model.prompt.format(name) for name in dataset.classes]
        texts = torch.from_numpy(model.encoder.encode_texts(prompts))
        return cache, RecallOfClasses(held_out, dataset, texts, ks)
    texts = _questions(held_out, proxies)
    return cache, AnswersOfRegions(held_out, texts, ks)


def _questions(held_out: FeatureCache, proxies: Proxies) -> Any:
    """The texts to train with, or some regions of the validation images where there are none."""
    import torch

    if proxies.texts is not None:
        return proxies.texts
    generator = torch.Generator().manual_seed(0)
    regions, _, there = held_out.padded(range(len(held_out)))
    rows = torch.from_numpy(regions[there])
    return rows[torch.randint(len(rows), (512,), generator=generator)]
