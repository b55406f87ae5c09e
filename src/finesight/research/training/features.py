"""Feature caches: what a frozen encoder saw in every image of a dataset, written once.

A cache is a folder: `features.json` says of what it is, and each `shard-00000` holds a run of
images in their order: `embeddings.npy` (rows, d) float16, `boxes.npy` (rows, 4) float32 and
`offsets.npy` (images + 1,), the first row of each image. A shard appears whole or not at all.

Where another model encoded the regions, all of these rows are in its space, and `wholes.npy`
(images, d of the model) float16 holds what the model itself sees in the whole images.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from finesight.annotations.json_files import expecting, parse_json
from finesight.errors import DataError, InputError
from finesight.models import Model
from finesight.types import Float32, ImageVectors

FORMAT = "finesight-features"
VERSION = 2
"""Of caches with a region model; the others are of version 1, which older programs read."""

SHARD = 128  # images: a kill loses at most the last of them


@dataclass(frozen=True)
class FeatureCache:
    """The embeddings of n images, memory-mapped.

    settings: what `features.json` says; ids: each image's file name below the dataset.
    """

    settings: dict[str, Any]
    ids: tuple[str, ...]
    _seen: list[tuple[np.ndarray, np.ndarray]]  # of each image its embeddings and boxes
    _wholes: np.ndarray | None = None  # (n, d of the model), where another one saw the regions

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> ImageVectors:
        """Return what was seen in image `index`, in float32; region 0 is the whole image."""
        embeddings, boxes = self._seen[index]
        return ImageVectors(np.array(boxes), embeddings.astype(np.float32))

    def __iter__(self) -> Iterator[ImageVectors]:
        return (self[index] for index in range(len(self)))

    def check_model(self, model: Model, place: Path) -> None:
        """Raise InputError where another model made these features, which lie in `place`."""
        if self.settings["fingerprint"] != model.fingerprint:
            raise InputError(
                f"{place} holds features of the model {self.settings['model']}, not of "
                f"{model.source}: name that model, or make the features again"
            )

    def check_own_regions(self, model: Model, place: Path) -> None:
        """Raise InputError where these are no regions of the model in its own space."""
        if "region_model" in self.settings:
            raise InputError(
                f"{place} holds regions in the space of {self.settings['region_model']}: this "
                "fusion merges regions of the model itself, so make features without --region-model"
            )
        self.check_model(model, place)

    def wholes(self, indices: Sequence[int]) -> Float32:
        """Return what the model, not the region model, sees in whole images: (b, d)."""
        if self._wholes is not None:
            return self._wholes[list(indices)].astype(np.float32)
        return np.stack([self._seen[i][0][0] for i in indices]).astype(np.float32)

    def padded(self, indices: Sequence[int]) -> tuple[Float32, Float32, np.ndarray]:
        """Return embeddings (b, p, d), boxes (b, p, 4) and which regions are there (b, p).

        p is the most regions of any of the images; what is not there is zero.
        """
        some = [self._seen[i] for i in indices]
        counts = [len(boxes) for _, boxes in some]
        there = np.arange(max(counts)) < np.array(counts)[:, None]
        embeddings = np.zeros((*there.shape, some[0][0].shape[1]), np.float32)
        boxes = np.zeros((*there.shape, 4), np.float32)
        embeddings[there] = np.concatenate([each for each, _ in some])
        boxes[there] = np.concatenate([each for _, each in some])
        return embeddings, boxes, there


def open_features(directory: Path) -> FeatureCache:
    """Open a finished cache; raises InputError where there is none, DataError for a damaged one."""
    if (settings := read_settings(directory)) is None:
        raise InputError(f"{directory} holds no features: make them with `finesight features`")
    ids = tuple(settings["ids"])
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    wholes = []
    for number in range(-(-len(ids) // SHARD)):
        shard = directory / f"shard-{number:05d}"
        if not shard.is_dir():
            raise InputError(
                f"{directory} is not finished ({len(seen)} of {len(ids)} images): give the same "
                "`finesight features` command again, which goes on"
            )
        try:
            rows, boxes = (
                np.asarray(np.load(shard / f"{name}.npy", mmap_mode="r"))
                for name in ("embeddings", "boxes")
            )
            offsets = np.load(shard / "offsets.npy").tolist()
            if "region_model" in settings:
                wholes.append(np.load(shard / "wholes.npy"))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{shard} is damaged ({error}): remove it and go on") from error
        seen += [(rows[start:end], boxes[start:end]) for start, end in itertools.pairwise(offsets)]
    return FeatureCache(settings, ids, seen, np.concatenate(wholes) if wholes else None)


def join_features(directories: Sequence[Path]) -> FeatureCache:
    """Open several caches of one model and one kind of regions as one, in their order.

    Raises InputError where they differ in that.
    """
    caches = [open_features(directory) for directory in directories]
    first = caches[0]
    for directory, cache in zip(directories, caches, strict=True):
        for key in ("fingerprint", "regions", "region_fingerprint"):
            if cache.settings.get(key) != first.settings.get(key):
                raise InputError(
                    f"{directory} and {directories[0]} differ in their {key}: join features of one "
                    "model and of the same regions"
                )
    wholes = [cache._wholes for cache in caches if cache._wholes is not None]
    return FeatureCache(
        first.settings,
        tuple(id_ for cache in caches for id_ in cache.ids),
        [each for cache in caches for each in cache._seen],
        np.concatenate(wholes) if wholes else None,
    )


def split_features(cache: FeatureCache, every: int) -> tuple[FeatureCache, FeatureCache]:
    """Return the cache without every n-th image, and those; raises InputError for too few."""
    if len(cache) < every:
        raise InputError(f"{len(cache)} images are too few to train and to validate on")
    held = range(every - 1, len(cache), every)
    return subset(cache, [i for i in range(len(cache)) if i not in held]), subset(cache, held)


def subset(cache: FeatureCache, indices: Sequence[int]) -> FeatureCache:
    """Return some images of a cache, in the order of `indices`."""
    return replace(
        cache,
        ids=tuple(cache.ids[i] for i in indices),
        _seen=[cache._seen[i] for i in indices],
        _wholes=None if cache._wholes is None else cache._wholes[list(indices)],
    )


def read_settings(directory: Path) -> dict[str, Any] | None:
    """Return what a cache's features.json says, None where there is none; raises DataError."""
    path = directory / "features.json"
    if not path.exists():
        return None
    with expecting(f"{path} is damaged", f"remove {directory} and begin again"):
        settings: dict[str, Any] = parse_json(path.read_bytes())
        if settings["format"] != FORMAT or settings["version"] > VERSION:
            raise DataError(
                f"{path} has format {settings['format']!r} version {settings['version']}; this "
                f"finesight reads version {VERSION}: update finesight"
            )
    return settings
