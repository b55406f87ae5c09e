"""`finesight train matcher`: from images with sentences to a bundle that reads sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from finesight.cli.options import JsonOption, option
from finesight.cli.training import OutOption, SeedOption, begin, finish, shown
from finesight.errors import InputError

if TYPE_CHECKING:
    from finesight.models import Model
    from finesight.research.training.matcher.pairs import CaptionPairs
    from finesight.research.training.run import Run


def matcher(
    captions: Annotated[
        Path,
        option(
            "Images with captions: scenes of `finesight render`, Karpathy's JSON, an "
            "evaluation list, or a folder of SCAN's features."
        ),
    ],
    validation_captions: Annotated[
        Path, option("Those of other images, whose recalls choose the best epoch.")
    ],
    out: OutOption,
    features: Annotated[
        Path | None, option("Features of these images, of `finesight features`.")
    ] = None,
    validation: Annotated[Path | None, option("Features of the images to validate on.")] = None,
    model: Annotated[str | None, option("The bundle whose features these are.")] = None,
    kind: Annotated[
        str,
        option(
            "adapt, scan or sgraf, or one of their parts (adapt-t2i, adapt-i2t, scan-t2i, "
            "scan-i2t, sgr, saf); region-fusion or linear-probe, which need no matcher to search."
        ),
    ] = "adapt",
    name: Annotated[
        str | None, option("What the bundle calls it; its kind where not given.")
    ] = None,
    split: Annotated[
        str, option("The split to train on, where the captions have several.")
    ] = "train",
    validation_split: Annotated[str, option("The split to validate on.")] = "val",
    hidden: Annotated[int, option("The width of a part; papers: 1024.", min=8)] = 256,
    words: Annotated[
        str, option("gru: embeddings through a GRU; encoder: its frozen token states.")
    ] = "gru",
    epochs: Annotated[int | None, option("Times through all captions.", min=1)] = None,
    batch: Annotated[int | None, option("Captions in an update.", min=2)] = None,
    rate: Annotated[float | None, option("The learning rate.", min=0)] = None,
    warm_up: Annotated[
        int | None, option("Steps of ADAPT's warm-up; the paper's are 4,000.", min=0)
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
    from finesight.research.training.matcher.pairs import read_pairs
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
        task = _Task(kind, pairs, loaded, given, watched, out)
        if kind in IMAGE_SIDES:
            result = _train_fusion(task)
        else:
            result = _train_matcher(task, name or kind, hidden, words, features)
    said = f"{kind} trained in {{seconds}} s, validation rsum {result['validation']:.1f} of 600"
    finish(run, {"out": out, **result}, said, as_json)


@dataclass(frozen=True)
class _Task:
    """What is trained, on what, and how; pairs: to train on, and to validate with."""

    kind: str
    pairs: tuple[CaptionPairs, CaptionPairs]
    model: Model | None
    given: dict[str, Any]  # settings of the recipe that are not its own
    run: Run
    out: Path

    def provenance(self, settings: Any, score: float) -> dict[str, Any]:
        """Return how to make the part again."""
        from finesight.research.training.run import provenance

        return provenance(
            captions=len(self.pairs[0]),
            images=len(self.pairs[0].regions),
            settings=asdict(settings),
            validation=round(score, 2),
        )


def _train_matcher(
    task: _Task, name: str, hidden: int, words: str, features: Path | None
) -> dict[str, Any]:
    """Train a matcher and write it into a copy of the model's bundle, or alone without a model."""
    from finesight.research.networks.matcher import MatcherSettings
    from finesight.research.training.export import put_part
    from finesight.research.training.features import open_features
    from finesight.research.training.matcher import export, training
    from finesight.research.training.matcher.loop import RECIPES, Recipe
    from finesight.research.training.vocabulary import build_tokenizer, words_of

    tower, states = None, 0
    bundle = None if task.model is None else task.model.directory
    if words == "encoder":
        if bundle is None:
            raise InputError("--words encoder needs --model, whose text tower is to be read")
        tower, states, tokenizer = training.token_tower(bundle)
    else:
        tokenizer = build_tokenizer(words_of(task.pairs[0].captions), training.LONGEST_CAPTION)
    width = task.pairs[0].regions.padded([0])[0].shape[2]
    settings = MatcherSettings(
        task.kind, width, tokenizer.get_vocab_size(), hidden=hidden, tokens=states
    )

    def recipe(member: str) -> Recipe:
        return replace(RECIPES[member], **task.given)

    matcher, score = training.train_matcher(
        settings, *task.pairs, tokenizer, recipe, task.run, tower=tower
    )
    about = task.provenance(matcher.settings, score)
    if bundle is None or features is None:
        apart = export.write_matcher_alone(matcher, tokenizer, about, task.out)
    else:
        regions = str(open_features(features).settings["regions"])
        part = partial(export.matcher_part, matcher, tokenizer, name, regions)
        apart = put_part(bundle, task.out, about, part)
    return {"matcher": name, "validation": score, "onnx_apart": apart}


def _train_fusion(task: _Task) -> dict[str, Any]:
    """Train a fusion with a text head and write it into a copy of the model's bundle."""
    from finesight.research.networks.region_fusion import RegionFusionSettings
    from finesight.research.training.export import put_part
    from finesight.research.training.fusion.export import fusion_part
    from finesight.research.training.matcher.loop import PROBE
    from finesight.research.training.matcher.region_fusion import train_region_fusion

    model, kind = task.model, task.kind
    if model is None or model.directory is None:
        raise InputError(f"{kind} stands on a model's embeddings: name it with --model")
    settings = RegionFusionSettings(kind, model.encoder.width)
    recipe, run = replace(PROBE, **task.given), task.run.of(kind)
    encode = model.encoder.encode_texts
    trained, score = train_region_fusion(settings, *task.pairs, encode, recipe, run)
    about, bundle = task.provenance(settings, score), model.directory
    part = partial(fusion_part, trained.fusion, kind, 1, head=trained.head)
    agreement = put_part(bundle, task.out, about, part)
    return {"fusion": kind, "validation": score, "onnx_cosine": agreement}
