"""Feature caches: what a frozen encoder saw in every image of a dataset, written once.

A cache is a folder: `features.json` says of what it is, and each `shard-00000` holds a run of
images in their order: `embeddings.npy` (rows, d) float16, `boxes.npy` (rows, 4) float32 and
`offsets.npy` (images + 1,), the first row of each image. A shard appears whole or not at all.

Where another model encoded the regions, all of these rows are in its space, and `wholes.npy`
(images, d of the model) float16 holds what the model itself sees in the whole images.
"""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from finesight.encoders import Preprocessing
from finesight.encoders.crops import encode_ahead
from finesight.errors import DataError, InputError
from finesight.images.open import ImageError, Picture, decode_image, image_size
from finesight.models import Model
from finesight.proposals import Proposals, Proposer, parse_proposer, resolve_effort
from finesight.proposals.finder_proposer import FinderProposer, finds_objects
from finesight.proposals.geometry import square_around
from finesight.research.datasets import LabelledImage
from finesight.types import WHOLE, Box, Float32, ImageVectors, UInt8

ANNOTATED = "annotated"
"""The regions that are the squares around an image's annotated objects, in their order."""

FORMAT = "finesight-features"
VERSION = 2
"""Of caches with a region model; the others are of version 1, which older programs read."""

_SHARD = 128  # images: a kill loses at most the last of them


@dataclass(frozen=True)
class FeatureCache:
    """The embeddings of n images, memory-mapped.

    settings: what `features.json` says; ids: each image's file name below the dataset.
    """

    settings: dict[str, Any]
    ids: tuple[str, ...]
    _embeddings: list[np.ndarray]
    _boxes: list[np.ndarray]
    _places: list[tuple[int, int, int]]  # shard, first row, end
    _wholes: np.ndarray | None = None  # (n, d of the model), where another one saw the regions

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> ImageVectors:
        """Return what was seen in image `index`, in float32; region 0 is the whole image."""
        shard, start, end = self._places[index]
        embeddings = self._embeddings[shard][start:end].astype(np.float32)
        return ImageVectors(np.array(self._boxes[shard][start:end]), embeddings)

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
        first = [self._places[i][:2] for i in indices]
        return np.stack([self._embeddings[shard][row] for shard, row in first]).astype(np.float32)

    def padded(self, indices: Sequence[int]) -> tuple[Float32, Float32, np.ndarray]:
        """Return embeddings (b, p, d), boxes (b, p, 4) and which regions are there (b, p).

        p is the most regions of any of the images; what is not there is zero.
        """
        counts = [self._places[i][2] - self._places[i][1] for i in indices]
        width = self._embeddings[0].shape[1]
        embeddings = np.zeros((len(counts), max(counts), width), np.float32)
        boxes = np.zeros((len(counts), max(counts), 4), np.float32)
        for row, (index, count) in enumerate(zip(indices, counts, strict=True)):
            shard, start, end = self._places[index]
            embeddings[row, :count] = self._embeddings[shard][start:end]
            boxes[row, :count] = self._boxes[shard][start:end]
        there = np.arange(max(counts)) < np.array(counts)[:, None]
        return embeddings, boxes, there


def open_features(directory: Path) -> FeatureCache:
    """Open a finished cache; raises InputError where there is none, DataError for a damaged one."""
    settings = _settings(directory)
    if settings is None:
        raise InputError(f"{directory} holds no features: make them with `finesight features`")
    ids = tuple(settings["ids"])
    embeddings, boxes, wholes = [], [], []
    places: list[tuple[int, int, int]] = []
    for number in range(-(-len(ids) // _SHARD)):
        shard = directory / f"shard-{number:05d}"
        if not shard.is_dir():
            raise InputError(
                f"{directory} is not finished ({len(places)} of {len(ids)} images): give the same "
                "`finesight features` command again, which goes on"
            )
        try:
            embeddings.append(np.load(shard / "embeddings.npy", mmap_mode="r"))
            boxes.append(np.load(shard / "boxes.npy", mmap_mode="r"))
            offsets = np.load(shard / "offsets.npy").tolist()
            if "region_model" in settings:
                wholes.append(np.load(shard / "wholes.npy"))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{shard} is damaged ({error}): remove it and go on") from error
        places += [(number, *pair) for pair in itertools.pairwise(offsets)]
    whole = np.concatenate(wholes) if wholes else None
    return FeatureCache(settings, ids, embeddings, boxes, places, whole)


def join_features(directories: Sequence[Path]) -> FeatureCache:
    """Open several caches of one model and one way of looking as one, in their order.

    Raises InputError where they differ in that.
    """
    caches = [open_features(directory) for directory in directories]
    first = caches[0]
    for directory, cache in zip(directories, caches, strict=True):
        for key in ("fingerprint", "regions", "region_fingerprint"):
            if cache.settings.get(key) != first.settings.get(key):
                raise InputError(
                    f"{directory} and {directories[0]} differ in their {key}: join features of one "
                    "model and one way of looking"
                )
    wholes = [cache._wholes for cache in caches if cache._wholes is not None]
    before = itertools.accumulate((len(cache._embeddings) for cache in caches), initial=0)
    return FeatureCache(
        first.settings,
        tuple(id_ for cache in caches for id_ in cache.ids),
        [part for cache in caches for part in cache._embeddings],
        [part for cache in caches for part in cache._boxes],
        [
            (shard + shift, start, end)
            for cache, shift in zip(caches, before, strict=False)
            for shard, start, end in cache._places
        ],
        np.concatenate(wholes) if wholes else None,
    )


def split_features(cache: FeatureCache, every: int) -> tuple[FeatureCache, FeatureCache]:
    """Return the cache without every n-th image, and those; raises InputError for too few."""
    if len(cache) < every:
        raise InputError(f"{len(cache)} images are too few to train and to validate on")
    rest: list[int] = []
    held: list[int] = []
    for index in range(len(cache)):
        (held if index % every == every - 1 else rest).append(index)
    return _subset(cache, rest), _subset(cache, held)


def _subset(cache: FeatureCache, indices: Sequence[int]) -> FeatureCache:
    return replace(
        cache,
        ids=tuple(cache.ids[i] for i in indices),
        _places=[cache._places[i] for i in indices],
        _wholes=None if cache._wholes is None else cache._wholes[list(indices)],
    )


def write_features(
    images: Sequence[LabelledImage],
    model: Model,
    regions: str,
    out: Path,
    progress: Callable[[int], None] = lambda done: None,
    region_model: Model | None = None,
) -> FeatureCache:
    """Look at every image and write the cache, or go on where an interrupted run stopped.

    regions: a scheme, or "annotated" for the whole image and a square around each object.
    progress: called with the number of finished images. region_model: encodes the regions in the
    place of the model, in its own space and width; the model then gives the whole images. Raises
    InputError where the folder holds something else, DataError for an image that cannot be read.
    """
    if regions != ANNOTATED:
        regions = resolve_effort(
            regions, model.capabilities
        )  # an effort may come to mean something else
        parse_proposer(regions, model.capabilities)
    settings = {
        "format": FORMAT,
        "version": 1 if region_model is None else VERSION,
        "model": model.source,
        "fingerprint": model.fingerprint,
        "regions": regions,
        "width": model.encoder.width,
        "ids": [f"{image.path.parent.name}/{image.path.name}" for image in images],
    }
    if region_model is not None:
        settings |= {
            "region_model": region_model.source,
            "region_fingerprint": region_model.fingerprint,
            "region_width": region_model.encoder.width,
        }
    if model.objects is not None and finds_objects(regions):
        settings["objectness"] = model.objects.version  # the embeddings' fingerprint is without it
    found = _settings(out)
    if found is not None and found != settings:
        changed = sorted(k for k in {*settings, *found} if found.get(k) != settings.get(k))
        raise InputError(
            f"{out} holds the features of something else ({', '.join(changed)} differ): name "
            "another folder with --out, or remove this one"
        )
    if found is None:
        if out.is_dir() and any(out.iterdir()):
            raise InputError(f"{out} is a folder with other things in it: name a new one")
        out.mkdir(parents=True, exist_ok=True)
        _replace(out / "features.json", json.dumps(settings) + "\n")
    for leftover in out.glob("*.new"):
        shutil.rmtree(leftover)
    for start in range(0, len(images), _SHARD):
        shard = out / f"shard-{start // _SHARD:05d}"
        part = images[start : start + _SHARD]
        if not shard.exists():
            named = [(image.path, [thing.box for thing in image.objects]) for image in part]
            seeing = region_model or model
            seen = list(look_at_images(named, seeing, regions, start, progress, looks=model))
            wholes = None
            if region_model is not None:
                whole = look_at_images(named, model, "full")
                wholes = np.concatenate([each.embeddings for each in whole])
            _write_shard(shard, seen, wholes)
        progress(start + len(part))
    return open_features(out)


def look_at_images(
    images: Sequence[tuple[Path, Sequence[Box]]],
    model: Model,
    regions: str,
    before: int = 0,
    progress: Callable[[int], None] = lambda done: None,
    looks: Model | None = None,
) -> Iterator[ImageVectors]:
    """Yield what is seen in every image file, in order.

    images: files, with the boxes of their objects where regions is "annotated"; before: images that
    count as done; looks: the model that chooses the regions, where it is not the one that encodes
    them. Raises DataError for an image that cannot be read.
    """
    proposer = None
    if regions != ANNOTATED:
        proposer = parse_proposer(regions, (looks or model).capabilities)
    if looks not in (None, model) and isinstance(proposer, FinderProposer) and proposer.side:
        raise InputError(
            f"{regions} encodes its small crops itself: with a region model, name regions without "
            '"at", such as objects160x8'
        )

    def cut(image: tuple[Path, Sequence[Box]]) -> tuple[Proposals, UInt8]:
        return _cut(*image, model.encoder.preprocessing, proposer)

    looked = encode_ahead(images, cut, model.encoder)
    for done, (proposals, embeddings) in enumerate(looked, before + 1):
        assert embeddings is not None
        yield proposals.complete(embeddings)
        progress(done)


def _cut(
    path: Path, objects: Sequence[Box], preprocessing: Preprocessing, proposer: Proposer | None
) -> tuple[Proposals, UInt8]:
    """Cut the regions of a way of looking, or without one the objects, out of a file."""
    try:
        data = path.read_bytes()
        size = image_size(data)
        if proposer is None:
            squares = [square_around(box, *size) for box in objects]
            boxes = np.array([WHOLE, *squares], np.float32)
            pixels = decode_image(data, shrink=preprocessing.shrink(size, boxes))
            return Proposals(boxes), preprocessing.cut(pixels, boxes)
        pixels = decode_image(data, shrink=preprocessing.shrink(size, proposer.finest(*size)))
        return proposer.propose(Picture(pixels, size, path), preprocessing)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except ImageError as error:
        raise DataError(f"{path}: {error}; mend it or take it out of the dataset") from error


def _write_shard(shard: Path, seen: Sequence[ImageVectors], wholes: Float32 | None = None) -> None:
    unfinished = shard.with_name(shard.name + ".new")
    unfinished.mkdir()
    offsets = np.cumsum([0, *(len(each.boxes) for each in seen)])
    embeddings = np.concatenate([each.embeddings for each in seen])
    np.save(unfinished / "embeddings.npy", embeddings.astype(np.float16))
    np.save(unfinished / "boxes.npy", np.concatenate([each.boxes for each in seen]))
    np.save(unfinished / "offsets.npy", offsets)
    if wholes is not None:
        np.save(unfinished / "wholes.npy", wholes.astype(np.float16))
    unfinished.rename(shard)


def _settings(directory: Path) -> dict[str, Any] | None:
    path = directory / "features.json"
    if not path.exists():
        return None
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if settings["format"] != FORMAT or settings["version"] > VERSION:
            raise DataError(
                f"{path} has format {settings['format']!r} version {settings['version']}; this "
                f"finesight reads version {VERSION}: update finesight"
            )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error!r}): remove {directory} and begin again") from (
            error
        )
    return settings


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
