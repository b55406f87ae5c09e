"""What `finesight evaluate` can ask of a model: each protocol returns its figures and its table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.cli.output import progress_bar, say, say_some

Evaluated = tuple[Any, str]
"""Plain data for JSON, and the same as text."""


@dataclass(frozen=True)
class Protocol:
    """What to run, as run(dataset, model, **options), with which options; refusal: of others."""

    run: Callable[..., Evaluated]
    options: tuple[str, ...]
    refusal: str


def evaluate_classes(
    dataset: Path, model: str | None, images: Path | None, verified: bool, scale: bool
) -> Evaluated:
    """Ask for classes in labelled images; scale: measure how small a thing may be instead."""
    from finesight.models import DEFAULT, load_model
    from finesight.research.datasets import read_dataset
    from finesight.research.evaluation.class_prompts import evaluate_class_prompts
    from finesight.research.evaluation.paper import format_class_prompts
    from finesight.research.evaluation.scale import FILLS, effective_scale, format_scale

    scenes = read_dataset(dataset, images)
    loaded = load_model(model or DEFAULT)
    with progress_bar("evaluating", "images", len(scenes.images)) as advance:
        if not scale:
            rows = evaluate_class_prompts(scenes, loaded, advance, verified)
            return [row.plain() for row in rows], format_class_prompts(rows)
        found = effective_scale(scenes, loaded, advance)
    if loaded.bundle is None or not loaded.bundle.keep_scores(effective_scale=found.effective):
        say("not kept: only a bundle's finesight.json can hold it (see `finesight export`)")
    shares = dict(zip(map(str, FILLS), found.named, strict=True))
    return {"effective_scale": found.effective, "named": shares}, format_scale(found)


def evaluate_captions(
    dataset: Path,
    model: str | None,
    images: Path | None,
    split: str | None,
    regions: str | None,
    pool: Path | None,
    judgements: Path | None,
) -> Evaluated:
    """Ask for images by their captions, and for captions by their images."""
    from finesight.errors import InputError
    from finesight.models import DEFAULT, load_model
    from finesight.research.datasets import eccv, precomputed, scene_texts
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
    judged = [] if judgements is None else eccv.load_all(judgements, captions)
    negatives = None
    if (dataset / "negatives.jsonl").is_file():
        negatives = scene_texts.load_negatives(dataset)
    loaded = load_model(model or DEFAULT)
    with progress_bar("evaluating", "images", len(files)) as advance:
        seen = encode_files(
            [(file, ()) for file in files], loaded, regions or loaded.regions, progress=advance
        )
        scores = evaluation.score_captions(captions, seen, loaded, negatives)
    results = evaluation.evaluate_captions(captions, scores, judged, negatives)
    table = evaluation.format_captions(captions, results)
    return [evaluation.plain(result) for result in results], table


def evaluate_items(
    dataset: Path, model: str | None, regions: str | None, matched_only: bool
) -> Evaluated:
    """Ask for the same item in another photo."""
    from finesight.models import DEFAULT, load_model
    from finesight.research.datasets import ItemSet, read_items
    from finesight.research.evaluation import item_retrieval

    items: ItemSet = read_items(dataset)
    say_some("left out", items.problems, "photos or items")
    if matched_only:
        lost = len(items.unmatched())
        items = items.matched()
        say(f"{lost} queries without a shop photo are left out")
    item_retrieval.refuse_unmatched(items)
    loaded = load_model(model or DEFAULT)
    if loaded.item_head is None:
        say(
            f"{loaded.source} has no item head: these are its encoder's embeddings (train a head "
            "with `finesight train items`)"
        )
    with progress_bar("evaluating", "photos", len(items.photos)) as advance:
        rows = item_retrieval.evaluate_items(items, loaded, regions, advance)
    return [row.plain() for row in rows], item_retrieval.format_items(items, rows)


PROTOCOLS = {
    "classes": Protocol(
        evaluate_classes,
        ("images", "verified", "scale"),
        "--split, --regions, --pool and --judgements need --protocol captions",
    ),
    "captions": Protocol(
        evaluate_captions,
        ("images", "split", "regions", "pool", "judgements"),
        "--scale and --verified are about classes, not captions",
    ),
    "items": Protocol(
        evaluate_items,
        ("regions", "matched_only"),
        "items are evaluated with --model, --regions and --matched-only alone",
    ),
}
"""By the name that --protocol gives."""
