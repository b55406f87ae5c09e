"""`finesight evaluate`: how well a model finds classes, captioned images, and items."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from finesight.cli.options import ImagesOption, JsonOption, ModelOption, open_model, option
from finesight.cli.output import progress_bar, say, say_some, show
from finesight.errors import InputError

Evaluated = tuple[Any, str]
"""Plain data for JSON, and the same as text."""


def evaluate(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Scenes that `finesight render` wrote, a JSON file of COCO or LVIS, or a folder "
            "of Unity Perception; for captions: scenes, or a JSON file of Karpathy's splits, an "
            "evaluation list or captions by image."
        ),
    ],
    model: ModelOption = None,
    images: ImagesOption = None,
    verified: Annotated[
        bool, option("Rank only images in which a class was looked for (LVIS says).", "--verified")
    ] = False,
    scale: Annotated[
        bool, option("Measure instead how small a thing may be in a crop and be named.", "--scale")
    ] = False,
    protocol: Annotated[
        str,
        option(
            "What is asked for: classes, captions (images and sentences), or items (the same "
            "thing in a shop's photo)."
        ),
    ] = "classes",
    split: Annotated[
        str | None, option("Captions: the split of Karpathy's file; else test.")
    ] = None,
    regions: Annotated[
        str | None,
        option("Captions, items: the region proposals, as in `finesight index`; else the model's."),
    ] = None,
    pool: Annotated[
        Path | None, option("Captions: file names of a larger pool (Flickr30K-FG).")
    ] = None,
    judgements: Annotated[
        Path | None, option("Captions: the folder with ECCV Caption's and CxC's files.")
    ] = None,
    matched_only: Annotated[
        bool, option("Items: leave out those without a shop photo.", "--matched-only")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print class-prompt Recall@k, overall and by object size, beside the paper's numbers.

    With --protocol captions: recall of images and sentences in both directions, rsum, COCO's
    5 x 1K, mAP@R where more than one answer is true, and hard negatives where there are some.

    With --protocol items: mAP and top-1 to top-20 of users' items among the shop's photos, on true
    and on detected boxes, for DeepFashion2 and what `finesight render identities` draws.

    Examples:

      finesight evaluate scenes/test --model mini

      finesight evaluate instances_val2017.json --images val2017 --json

      finesight evaluate scenes/val --model mini --scale

      finesight evaluate dataset_coco.json --protocol captions --images coco --split test

      finesight evaluate deepfashion2/validation --protocol items --model items-model
    """
    options = dict(locals())  # by the names that the functions below take
    from finesight.research.table import without_nan

    if matched_only and protocol != "items":
        raise InputError("--matched-only needs --protocol items")
    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol!r}: use classes, captions or items")
    run, refusal = PROTOCOLS[protocol]
    takes = inspect.signature(run).parameters
    others = options.keys() - takes - {"protocol", "as_json"}
    if any(options[name] not in (None, False) for name in others):
        raise InputError(refusal)
    figures, table = run(**{name: options[name] for name in takes})
    show(without_nan(figures), [table], as_json)


def _classes(
    dataset: Path, model: str | None, images: Path | None, verified: bool, scale: bool
) -> Evaluated:
    """Ask for classes in labelled images; scale: measure how small a thing may be instead."""
    from finesight.research.datasets import read_dataset
    from finesight.research.evaluation import class_prompts
    from finesight.research.evaluation.scale import FILLS, effective_scale, format_scale

    scenes = read_dataset(dataset, images)
    loaded = open_model(model)
    with progress_bar("evaluating", "images", len(scenes.images)) as advance:
        if not scale:
            rows = class_prompts.evaluate_class_prompts(scenes, loaded, advance, verified)
            return [row.plain() for row in rows], class_prompts.format_class_prompts(rows)
        found = effective_scale(scenes, loaded, advance)
    if loaded.bundle is None or not loaded.bundle.keep_scores(effective_scale=found.effective):
        say("not kept: only a bundle's finesight.json can hold it (see `finesight export`)")
    shares = dict(zip(map(str, FILLS), found.named, strict=True))
    return {"effective_scale": found.effective, "named": shares}, format_scale(found)


def _captions(
    dataset: Path,
    model: str | None,
    images: Path | None,
    split: str | None,
    regions: str | None,
    pool: Path | None,
    judgements: Path | None,
) -> Evaluated:
    """Ask for images by their captions, and for captions by their images."""
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
    there = (dataset / "negatives.jsonl").is_file()
    negatives = scene_texts.load_negatives(dataset) if there else None
    loaded = open_model(model)
    with progress_bar("evaluating", "images", len(files)) as advance:
        seen = encode_files(
            [(file, ()) for file in files], loaded, regions or loaded.regions, progress=advance
        )
        scores = evaluation.score_captions(captions, seen, loaded, negatives)
    found = evaluation.evaluate_captions(captions, scores, judged, negatives)
    return [evaluation.plain(each) for each in found], evaluation.format_captions(captions, found)


def _items(dataset: Path, model: str | None, regions: str | None, matched_only: bool) -> Evaluated:
    """Ask for the same item in another photo."""
    from finesight.research.datasets import read_items
    from finesight.research.evaluation import item_retrieval

    items = read_items(dataset)
    say_some("left out", items.problems, "photos or items")
    if matched_only:
        say(f"{len(items.unmatched())} queries without a shop photo are left out")
        items = items.matched()
    item_retrieval.refuse_unmatched(items)
    loaded = open_model(model)
    if loaded.item_head is None:
        say(
            f"{loaded.source} has no item head: these are its encoder's embeddings (train a head "
            "with `finesight train items`)"
        )
    with progress_bar("evaluating", "photos", len(items.photos)) as advance:
        rows = item_retrieval.evaluate_items(items, loaded, regions, advance)
    return [row.plain() for row in rows], item_retrieval.format_items(items, rows)


PROTOCOLS: dict[str, tuple[Callable[..., Evaluated], str]] = {
    "classes": (_classes, "--split, --regions, --pool and --judgements need --protocol captions"),
    "captions": (_captions, "--scale and --verified are about classes, not captions"),
    "items": (_items, "items are evaluated with --model, --regions and --matched-only alone"),
}
"""By the name that --protocol gives: how a model is asked, and the refusal of others' options."""
