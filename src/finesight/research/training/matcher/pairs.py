"""Image–caption pairs over cached features: what the training of matchers draws from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from finesight.errors import InputError
from finesight.research.datasets import CaptionSet
from finesight.research.training.features import FeatureCache
from finesight.types import Float32

AT_ONCE = 256  # images or texts that are encoded in one go


class RegionSource(Protocol):
    """The regions of n images, such as a FeatureCache."""

    def __len__(self) -> int:
        """Return n."""

    def padded(self, indices: Sequence[int]) -> tuple[Float32, Float32, np.ndarray]:
        """Return embeddings (b, p, d), boxes (b, p, 4) and which regions are there (b, p)."""

    def wholes(self, indices: Sequence[int]) -> Float32:
        """Return the whole images (b, d), of another space where the regions are of one."""


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


@dataclass(frozen=True)
class SomeRegions:
    """Some images of another source, in another order."""

    source: RegionSource
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def padded(self, indices: Sequence[int]) -> tuple[Float32, Float32, np.ndarray]:
        """Return what the source has for these images."""
        return self.source.padded([self.rows[index] for index in indices])

    def wholes(self, indices: Sequence[int]) -> Float32:
        """Return what the source has for these images."""
        return self.source.wholes([self.rows[index] for index in indices])


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
    return CaptionPairs(SomeRegions(cache, found), captions.captions, captions.owner)


@dataclass(frozen=True)
class CaptionPairs:
    """Images with their captions: captions[i] is of image owner[i]."""

    regions: RegionSource
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
        regions, boxes, there = self.regions.padded(indices)
        regions_, there_, boxes_ = map(torch.from_numpy, (regions, there, boxes))
        return regions_.to(device), there_.to(device), boxes_.to(device)

    def wholes(self, indices: Sequence[int], device: str = "cpu") -> Tensor:
        """Return the whole images (b, 1, d), of another space where the regions are of one."""
        return torch.from_numpy(self.regions.wholes(indices)).to(device)[:, None]
