"""Reads captions with the features of their images: of a cache, or those that come with them."""

from __future__ import annotations

from pathlib import Path

from finesight.annotations.json_files import read_json
from finesight.errors import InputError
from finesight.models import Model
from finesight.research.datasets import precomputed
from finesight.research.datasets.captions import read_captions
from finesight.research.training.features import open_features
from finesight.research.training.matcher.pairs import ArrayRegions, CaptionPairs, pair_up


def read_pairs(
    place: Path, split: str, features: Path | None, model: Model | None, option: str
) -> CaptionPairs:
    """Return the captions in a place, or of one of its splits, with the regions of their images.

    features, model: a cache and the model that made it; none for SCAN's features, which come with
    the captions. option: how the command names `features`, for messages. Raises InputError for
    what does not fit.
    """
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
    cache.check_model(model, features)
    if "region_model" in cache.settings:
        raise InputError(
            f"{features} has regions that {cache.settings['region_model']} encoded, and a "
            "collection keeps those of its own model: train on features without --region-model "
            "(from Python, research.training.matcher.region_fusion fuses another model's regions)"
        )
    captions = read_captions(place, split if _has_splits(place) else None)
    return pair_up(captions, cache, features)


def _has_splits(place: Path) -> bool:
    content = read_json(place) if place.is_file() else None
    return isinstance(content, dict) and isinstance(content.get("images"), list)
