"""`finesight train matcher`: from images with sentences to a bundle that reads sentences."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.options import JsonOption
from finesight.cli.output import say
from finesight.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from finesight.models import Model
    from finesight.research.training.matcher.loop import PairProgress, Recipe
    from finesight.research.training.matcher.pairs import CaptionPairs


def matcher(
    captions: Annotated[
        Path,
        typer.Option(
            help="Images with captions: scenes of `finesight render`, Karpathy's JSON, an "
            "evaluation list, or a folder of SCAN's features."
        ),
    ],
    validation_captions: Annotated[
        Path, typer.Option(help="Those of other images, whose recalls choose the best epoch.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the bundle with its matcher.")],
    features: Annotated[
        Path | None, typer.Option(help="Features of these images, of `finesight features`.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Features of the images to validate on.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The bundle whose features these are.")] = None,
    kind: Annotated[
        str,
        typer.Option(
            help="adapt, scan or sgraf, or one of their parts (adapt-t2i, adapt-i2t, scan-t2i, "
            "scan-i2t, sgr, saf); region-fusion or linear-probe, which need no matcher to search."
        ),
    ] = "adapt",
    name: Annotated[
        str | None, typer.Option(help="What the bundle calls it; its kind where not given.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="The split to train on, where the captions have several.")
    ] = "train",
    validation_split: Annotated[str, typer.Option(help="The split to validate on.")] = "val",
    hidden: Annotated[int, typer.Option(min=8, help="The width of a part; papers: 1024.")] = 256,
    words: Annotated[
        str,
        typer.Option(help="gru: embeddings through a GRU; encoder: its frozen token states."),
    ] = "gru",
    epochs: Annotated[int | None, typer.Option(min=1, help="Times through all captions.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Captions in an update.")] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="The learning rate.")] = None,
    warm_up: Annotated[
        int | None, typer.Option(min=0, help="Steps of ADAPT's warm-up; the paper's are 4,000.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides order and weights.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Train what reads a sentence and an image part by part, on features of a frozen model.

    The bundle re-ranks with it (`finesight search --rerank NAME`); region-fusion becomes the
    bundle's fusion instead, and searches as fast as any. Features should be of the regions that
    `finesight index` keeps: give `finesight features` the same --regions, such as normal. SCAN's
    features (36 regions of a detector) bring their own, and need neither --features nor --model;
    their matcher is written alone. An interrupted run goes on when it is given again.

    Examples:

      finesight features scenes/train --model mini --regions normal --out features/train

      finesight train matcher --captions scenes/train --features features/train
      --validation-captions scenes/val --validation features/val --model mini --out reader

      finesight train matcher --captions f30k_precomp --validation-captions f30k_precomp
      --validation-split dev --kind scan --hidden 1024 --out scan-f30k
    """
    _need_torch()
    from finesight.research.networks.matcher_kinds import ENSEMBLES, KINDS
    from finesight.research.networks.region_fusion import IMAGE_SIDES

    started = time.monotonic()
    kinds = (*KINDS, *ENSEMBLES, *IMAGE_SIDES)
    if kind not in kinds:
        raise InputError(f"unknown kind {kind!r}: use one of {', '.join(kinds)}")
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder")
    if words not in ("gru", "encoder"):
        raise InputError(f"words are read by gru or encoder, got {words!r}")
    loaded = _bundle(model) if model is not None else None
    training, held = (
        _pairs(place, cut, cache, loaded, what)
        for place, cut, cache, what in (
            (captions, split, features, "--features"),
            (validation_captions, validation_split, validation, "--validation"),
        )
    )
    changes = {"epochs": epochs, "batch": batch, "rate": rate, "warm_up": warm_up, "seed": seed}
    given = {key: value for key, value in changes.items() if value is not None}
    provenance = {
        "command": shlex.join(["finesight", *sys.argv[1:]]),
        "captions": len(training),
        "images": len(training.regions),
    }
    kept = out.with_name(out.name + ".checkpoint")
    if kind in IMAGE_SIDES:
        result = _train_fusion(kind, training, held, loaded, given, provenance, kept, out)
    else:
        regions = _looked(features)
        result = _train_matcher(
            kind, name or kind, training, held, loaded, given, provenance, kept, out,
            hidden=hidden, words=words, regions=regions,
        )  # fmt: skip
    for left in kept.parent.glob(kept.name + "*"):
        left.unlink()
    result = {"out": str(out), "seconds": round(time.monotonic() - started), **result}
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(
            f"{out}: {kind} trained in {result['seconds']} s, validation rsum "
            f"{result['validation']:.1f} of 600"
        )


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "training needs PyTorch: pip install 'finesight[torch]'"
        ) from error


def _bundle(model: str) -> Model:
    from finesight.models import load_model
    from finesight.models.bundle import MANIFEST

    loaded = load_model(model)
    if loaded.directory is None or not (loaded.directory / MANIFEST).is_file():
        raise InputError(f"{model} is not a bundle: make one with `finesight export`")
    return loaded


def _pairs(
    place: Path, split: str, features: Path | None, model: Model | None, option: str
) -> CaptionPairs:
    """Read captions with their features: of the cache, or those that came with the captions."""
    from finesight.research.datasets import precomputed
    from finesight.research.datasets.captions import read_captions
    from finesight.research.training.features import open_features
    from finesight.research.training.matcher.pairs import ArrayRegions, CaptionPairs, pair_up

    if precomputed.is_precomputed(place):
        if features is not None or model is not None:
            raise InputError(
                f"{place} has features of its own, of a detector: leave --features, --validation "
                "and --model out"
            )
        found = precomputed.load(place, split)
        texts = found.captions
        return CaptionPairs(ArrayRegions(found.features), texts.captions, texts.owner)
    if features is None or model is None:
        raise InputError(
            f"{place} has captions alone: name the features of its images with {option} (see "
            "`finesight features`) and their model with --model"
        )
    cache = open_features(features)
    if cache.settings["fingerprint"] != model.fingerprint:
        raise InputError(
            f"{features} holds features of the model {cache.settings['model']}, not of "
            f"{model.source}: name that model, or make the features again"
        )
    if "region_model" in cache.settings:
        raise InputError(
            f"{features} has regions that {cache.settings['region_model']} encoded, and a "
            "collection keeps those of its own model: train on features without --region-model "
            "(from Python, research.training.matcher.region_fusion fuses another model's regions)"
        )
    has_splits = place.is_file() and _has_splits(place)
    return pair_up(read_captions(place, split if has_splits else None), cache, features)


def _has_splits(path: Path) -> bool:
    from finesight.research.datasets.json_files import read_json

    content = read_json(path)
    return isinstance(content, dict) and isinstance(content.get("images"), list)


def _looked(features: Path | None) -> str:
    from finesight.research.training.features import open_features

    return "" if features is None else str(open_features(features).settings["regions"])


def _train_matcher(
    kind: str,
    name: str,
    training: CaptionPairs,
    held: CaptionPairs,
    model: Model | None,
    given: dict[str, Any],
    provenance: dict[str, Any],
    kept: Path,
    out: Path,
    *,
    hidden: int,
    words: str,
    regions: str,
) -> dict[str, Any]:
    from finesight.research.networks.matcher import MatcherSettings
    from finesight.research.training.matcher.export import export_matcher, put_matcher_into_bundle
    from finesight.research.training.matcher.token_states import token_tower
    from finesight.research.training.matcher.training import LONGEST_CAPTION, RECIPES, train_matcher
    from finesight.research.training.vocabulary import build_tokenizer, words_of

    width = training.regions.padded([0])[0].shape[2]
    tower, states = None, 0
    tokenizer = build_tokenizer(words_of(training.captions), LONGEST_CAPTION)
    if words == "encoder":
        if model is None or model.directory is None:
            raise InputError("--words encoder needs --model, whose text tower is to be read")
        tower, states, tokenizer = token_tower(model.directory)
    settings = MatcherSettings(
        kind, width, tokenizer.get_vocab_size(), hidden=hidden, tokens=states
    )

    def recipe(member: str) -> Recipe:
        return replace(RECIPES[member], **given)

    trained, score = train_matcher(
        settings,
        training,
        held,
        tokenizer,
        recipe,
        tower=tower,
        checkpoint=kept,
        report=lambda member, step: _report(member, step),
        device=_device(),
    )
    provenance |= {"settings": asdict(settings), "validation": round(score, 2)}
    if model is None or model.directory is None:
        out.mkdir(parents=True)
        files = (out / "matcher.onnx", out / "words.onnx", out / "tokenizer.json")
        apart = export_matcher(trained, tokenizer, *files)
        (out / "matcher.json").write_text(json.dumps(provenance, indent=2) + "\n")
    else:
        apart = put_matcher_into_bundle(
            trained, tokenizer, model.directory, name, regions, provenance, out
        )
    return {"matcher": name, "validation": score, "onnx_apart": apart}


def _train_fusion(
    kind: str,
    training: CaptionPairs,
    held: CaptionPairs,
    model: Model | None,
    given: dict[str, Any],
    provenance: dict[str, Any],
    kept: Path,
    out: Path,
) -> dict[str, Any]:
    from finesight.research.networks.region_fusion import RegionFusionSettings
    from finesight.research.training.fusion.export import put_into_bundle
    from finesight.research.training.matcher.loop import PROBE
    from finesight.research.training.matcher.region_fusion import train_region_fusion

    if model is None or model.directory is None:
        raise InputError(f"{kind} stands on a model's embeddings: name it with --model")
    settings = RegionFusionSettings(kind, model.encoder.width)
    trained, score = train_region_fusion(
        settings,
        training,
        held,
        model.encoder.encode_texts,
        replace(PROBE, **given),
        checkpoint=kept,
        report=lambda step: _report(kind, step),
        device=_device(),
    )
    provenance |= {"settings": asdict(settings), "validation": round(score, 2)}
    agreement = put_into_bundle(
        trained.fusion, model.directory, kind, 1, provenance, out, trained.head
    )
    return {"fusion": kind, "validation": score, "onnx_cosine": agreement}


def _report(kind: str, step: PairProgress) -> None:
    say(f"{kind} epoch {step.epoch}: loss {step.loss:.4f}  validation rsum {step.score:.1f}")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
