"""`finesight train matcher`: from images with sentences to a bundle that reads sentences."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.options import JsonOption
from finesight.cli.training import OutOption, SeedOption, begin, finish, shown
from finesight.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from finesight.models import Model
    from finesight.research.networks.matcher import Matcher
    from finesight.research.training.matcher.loop import Recipe
    from finesight.research.training.matcher.pairs import CaptionPairs
    from finesight.research.training.run import Run

    Pairs = tuple[CaptionPairs, CaptionPairs]  # to train on, and to validate with


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
    out: OutOption,
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
    seed: SeedOption = 0,
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
    run = begin(out)
    from finesight.research.networks.matcher_kinds import ENSEMBLES, KINDS
    from finesight.research.networks.region_fusion import IMAGE_SIDES
    from finesight.research.training.matcher.reading import read_pairs
    from finesight.research.training.run import load_bundle

    kinds = (*KINDS, *ENSEMBLES, *IMAGE_SIDES)
    if kind not in kinds:
        raise InputError(f"unknown kind {kind!r}: use one of {', '.join(kinds)}")
    if words not in ("gru", "encoder"):
        raise InputError(f"words are read by gru or encoder, got {words!r}")
    loaded = load_bundle(model)[0] if model is not None else None
    pairs = (
        read_pairs(captions, split, features, loaded, "--features"),
        read_pairs(validation_captions, validation_split, validation, loaded, "--validation"),
    )
    changes = {"epochs": epochs, "batch": batch, "rate": rate, "warm_up": warm_up, "seed": seed}
    given = {key: value for key, value in changes.items() if value is not None}
    with shown(run) as watched:
        if kind in IMAGE_SIDES:
            result = _train_fusion(kind, pairs, loaded, given, watched, out)
        else:
            trained = _train_matcher(kind, hidden, words, pairs, loaded, given, watched)
            result = _export(trained, name or kind, pairs[0], loaded, features, out)
    said = f"{kind} trained in {{seconds}} s, validation rsum {result['validation']:.1f} of 600"
    finish(run, {"out": out, **result}, said, as_json)


def _train_matcher(
    kind: str,
    hidden: int,
    words: str,
    pairs: Pairs,
    model: Model | None,
    given: dict[str, Any],
    run: Run,
) -> tuple[Matcher, Tokenizer, float]:
    """Return a trained matcher, the tokenizer of its words, and its validation's rsum."""
    from finesight.research.networks.matcher import MatcherSettings
    from finesight.research.training.matcher.token_states import token_tower
    from finesight.research.training.matcher.training import LONGEST_CAPTION, RECIPES, train_matcher
    from finesight.research.training.vocabulary import build_tokenizer, words_of

    tower, states = None, 0
    if words == "encoder":
        if model is None or model.directory is None:
            raise InputError("--words encoder needs --model, whose text tower is to be read")
        tower, states, tokenizer = token_tower(model.directory)
    else:
        tokenizer = build_tokenizer(words_of(pairs[0].captions), LONGEST_CAPTION)
    width = pairs[0].regions.padded([0])[0].shape[2]
    settings = MatcherSettings(
        kind, width, tokenizer.get_vocab_size(), hidden=hidden, tokens=states
    )

    def recipe(member: str) -> Recipe:
        return replace(RECIPES[member], **given)

    trained, score = train_matcher(settings, *pairs, tokenizer, recipe, run, tower=tower)
    return trained, tokenizer, score


def _export(
    trained: tuple[Matcher, Tokenizer, float],
    name: str,
    pairs: CaptionPairs,
    model: Model | None,
    features: Path | None,
    out: Path,
) -> dict[str, Any]:
    """Write a matcher into a copy of the model's bundle, or alone where there is no model."""
    from finesight.research.training.features import open_features
    from finesight.research.training.matcher.export import (
        put_matcher_into_bundle,
        write_matcher_alone,
    )
    from finesight.research.training.run import provenance

    matcher, tokenizer, score = trained
    about = provenance(
        captions=len(pairs),
        images=len(pairs.regions),
        settings=asdict(matcher.settings),
        validation=round(score, 2),
    )
    if model is None or model.directory is None or features is None:
        apart = write_matcher_alone(matcher, tokenizer, about, out)
    else:
        regions = str(open_features(features).settings["regions"])
        apart = put_matcher_into_bundle(
            matcher, tokenizer, model.directory, name, regions, about, out
        )
    return {"matcher": name, "validation": score, "onnx_apart": apart}


def _train_fusion(
    kind: str, pairs: Pairs, model: Model | None, given: dict[str, Any], run: Run, out: Path
) -> dict[str, Any]:
    """Train a fusion with a text head and write it into a copy of the model's bundle."""
    from finesight.research.networks.region_fusion import RegionFusionSettings
    from finesight.research.training.fusion.export import put_into_bundle
    from finesight.research.training.matcher.loop import PROBE
    from finesight.research.training.matcher.region_fusion import train_region_fusion
    from finesight.research.training.run import provenance

    if model is None or model.directory is None:
        raise InputError(f"{kind} stands on a model's embeddings: name it with --model")
    settings = RegionFusionSettings(kind, model.encoder.width)
    trained, score = train_region_fusion(
        settings, *pairs, model.encoder.encode_texts, replace(PROBE, **given), run.of(kind)
    )
    about = provenance(
        captions=len(pairs[0]),
        images=len(pairs[0].regions),
        settings=asdict(settings),
        validation=round(score, 2),
    )
    agreement = put_into_bundle(trained.fusion, model.directory, kind, 1, about, out, trained.head)
    return {"fusion": kind, "validation": score, "onnx_cosine": agreement}
