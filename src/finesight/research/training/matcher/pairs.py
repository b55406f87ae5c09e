"""Image–caption pairs over cached features: read, and drawn from by the training of matchers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finesight.annotations.json_files import read_json
from finesight.errors import InputError
from finesight.models import Model
from finesight.research.datasets import precomputed
from finesight.research.datasets.captions import read_captions
from finesight.research.datasets.records import CaptionSet
from finesight.research.training.features import FeatureCache, open_features, subset
from finesight.types import Float32

AT_ONCE = 256  # images or texts that are encoded in one go


@dataclass(frozen=True)
class ArrayRegions:
    """Precomputed features (n, p, d) of as many regions in every image, such as 36 × 2048."""

    features: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def padded(self, indices: Sequence[int]) -> tuple[Float32, Float32, np.ndarray]:
        """Return the features, no boxes, and that every region is there."""
        rows = np.asarray(self.features[list(indices)], np.float32)
        return rows, np.zeros((*rows.shape[:2], 4), np.float32), np.ones(rows.shape[:2], bool)

    def wholes(self, indices: Sequence[int]) -> Float32:
        """Return the means of the regions: there is nothing else of the whole image."""
        found: Float32 = self.padded(indices)[0].mean(axis=1)
        return found


def pair_up(captions: CaptionSet, cache: FeatureCache, place: Path) -> CaptionPairs:
    """Return captions with the cached features of their images, found by their names.

    A name is looked for as it stands, and without its folder where that is enough to tell; place:
    the cache's folder, for messages. Raises InputError where an image has no features.
    """
    whole = {name: row for row, name in enumerate(cache.ids)}
    files = Counter(Path(name).name for name in cache.ids)
    bare = {Path(name).name: row for name, row in whole.items() if files[Path(name).name] == 1}
    rows = [whole.get(name, bare.get(Path(name).name)) for name in captions.images]
    missing = [name for name, row in zip(captions.images, rows, strict=True) if row is None]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(rows)} images of {captions.name} have no features in "
            f"{place} (the first is {missing[0]}): make features of these images with "
            "`finesight features`"
        )
    found = [row for row in rows if row is not None]
    return CaptionPairs(subset(cache, found), captions.captions, captions.owner)


@dataclass(frozen=True)
class CaptionPairs:
    """Images with their captions: captions[i] is of image owner[i]."""

    regions: FeatureCache | ArrayRegions
    captions: Sequence[str]
    owner: np.ndarray

    def __len__(self) -> int:
        return len(self.captions)

    @cached_property
    def wording(self) -> np.ndarray:
        """A number (t,) for each caption; equal captions have the same."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(text, len(numbers)) for text in self.captions])

    def blocks(self) -> Iterator[range]:
        """Yield the numbers of all images, some at a time."""
        for start in range(0, len(self.regions), AT_ONCE):
            yield range(start, min(start + AT_ONCE, len(self.regions)))

    def images(self, indices: Sequence[int], device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """Return regions (b, p, d), there (b, p) and boxes (b, p, 4) of some images."""
        regions, boxes, there = map(torch.from_numpy, self.regions.padded(indices))
        return regions.to(device), there.to(device), boxes.to(device)

    def wholes(self, indices: Sequence[int], device: str = "cpu") -> Tensor:
        """Return the whole images (b, 1, d), of another space where the regions are of one."""
        return torch.from_numpy(self.regions.wholes(indices)).to(device)[:, None]


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
        texts, arrays = precomputed.load(place, split)
        return CaptionPairs(ArrayRegions(arrays), texts.captions, texts.owner)
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
    content = read_json(place) if place.is_file() else None
    has_splits = isinstance(content, dict) and isinstance(content.get("images"), list)
    return pair_up(read_captions(place, split if has_splits else None), cache, features)
