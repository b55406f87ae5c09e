"""`finesight evaluate --protocol captions`: images and sentences."""

import json
from pathlib import Path

import typer

from finesight.cli.output import progress_bar


def evaluate_captions(
    dataset: Path,
    model: str | None,
    images: Path | None,
    split: str | None,
    regions: str | None,
    pool: Path | None,
    judgements: Path | None,
    as_json: bool,
) -> None:
    """Look at a caption set's images with a model, and print its recalls."""
    from finesight.errors import InputError
    from finesight.models import DEFAULT, load_model
    from finesight.research.datasets import eccv, hard_negatives, precomputed
    from finesight.research.datasets.captions import find_images, read_captions
    from finesight.research.evaluation import captions as evaluation
    from finesight.research.training.extraction import encode_files

    if precomputed.is_precomputed(dataset):
        raise InputError(
            f"{dataset} holds another network's features: a model needs the images themselves, so "
            "give it Karpathy's JSON file with --images"
        )
    captions = read_captions(dataset, split, pool=pool)
    files = find_images(captions, images or (dataset if dataset.is_dir() else dataset.parent))
    calibrated = [] if judgements is None else eccv.load_all(judgements, captions)
    negatives = None
    if (dataset / "negatives.jsonl").is_file():
        negatives = hard_negatives.load(dataset)
    loaded = load_model(model or DEFAULT)
    with progress_bar("evaluating", "images", len(files)) as advance:
        seen = encode_files(
            [(file, ()) for file in files], loaded, regions or loaded.regions, progress=advance
        )
        scores = evaluation.score_captions(captions, seen, loaded, negatives)
    results = evaluation.evaluate_captions(captions, scores, calibrated, negatives)
    if as_json:
        typer.echo(json.dumps([evaluation.plain(result) for result in results]))
    else:
        typer.echo(evaluation.format_captions(captions, results))
