"""Encodes the regions of image files with a frozen model, and writes them as a feature cache."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finesight.boxes import square_around
from finesight.encoders import Preprocessing
from finesight.encoders.crops import encode_ahead
from finesight.errors import DataError, InputError
from finesight.files import write_json
from finesight.images.open import ImageError, Picture, decode_image, image_size
from finesight.indexing.walking import find_images
from finesight.models import Model
from finesight.proposals import Proposals, Proposer, parse_proposer, resolve_effort
from finesight.proposals.finder_proposer import OBJECTS, FinderProposer
from finesight.research.datasets import is_annotated, read_dataset
from finesight.research.datasets.image_files import size_of
from finesight.research.datasets.records import LabelledImage
from finesight.research.training import features
from finesight.types import WHOLE, Box, Float32, ImageVectors, UInt8

ANNOTATED = "annotated"
"""The regions that are the squares around an image's annotated objects, in their order."""


def list_images(dataset: Path, images: Path | None, regions: str) -> list[LabelledImage]:
    """Return the images of an annotated dataset, or of a folder of images.

    images: the folder of the images that a JSON file names; regions: as of `write_features`. Raises
    InputError for annotated regions without annotations, and DataError for an image that cannot be
    read.
    """
    if is_annotated(dataset):
        return list(read_dataset(dataset, images).images)
    if regions == ANNOTATED:
        raise InputError(f"{dataset} has no annotated boxes: name other --regions, such as cc10")
    found = find_images([dataset])
    if found.skipped:
        first = found.skipped[0]
        raise DataError(f"{first.path} {first.reason}: mend it or take it out of {dataset}")
    return [LabelledImage(image.path, *size_of(image.path), ()) for image in found.images]


def write_features(
    images: Sequence[LabelledImage],
    model: Model,
    regions: str,
    out: Path,
    progress: Callable[[int], None] = lambda done: None,
    region_model: Model | None = None,
) -> features.FeatureCache:
    """Encode the regions of every image and write the cache, or go on with an interrupted one.

    regions: a proposer's name, or "annotated" for the whole image and a square around each object.
    progress: called with the number of finished images. region_model: encodes the regions in the
    place of the model, in its own space and width; the model then gives the whole images. Raises
    InputError where the folder holds something else, DataError for an image that cannot be read.
    """
    if regions != ANNOTATED:
        # An effort may come to stand for something else.
        regions = resolve_effort(regions, model.capabilities)
        parse_proposer(regions, model.capabilities)
    _begin(out, _describe(images, model, regions, region_model))
    for start in range(0, len(images), features.SHARD):
        shard = out / f"shard-{start // features.SHARD:05d}"
        part = images[start : start + features.SHARD]
        if not shard.exists():
            named = [(image.path, [thing.box for thing in image.objects]) for image in part]
            encoded = encode_files(
                named, region_model or model, regions, start, progress, proposing=model
            )
            wholes = None
            if region_model is not None:
                whole = encode_files(named, model, "full")
                wholes = np.concatenate([each.embeddings for each in whole])
            _write_shard(shard, list(encoded), wholes)
        progress(start + len(part))
    return features.open_features(out)


def _describe(
    images: Sequence[LabelledImage], model: Model, regions: str, region_model: Model | None
) -> dict[str, Any]:
    """Return what `features.json` says: all that changes an embedding."""
    settings = {
        "format": features.FORMAT,
        "version": 1 if region_model is None else features.VERSION,
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
    if model.objects is not None and OBJECTS.fullmatch(regions):
        settings["objectness"] = model.objects.version  # the embeddings' fingerprint is without it
    return settings


def _begin(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder of a cache, or check that it holds the beginning of this one."""
    found = features.read_settings(out)
    if found is None:
        if out.is_dir() and any(out.iterdir()):
            raise InputError(f"{out} is a folder with other things in it: name a new one")
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "features.json", settings)
    elif found != settings:
        changed = sorted(k for k in {*settings, *found} if found.get(k) != settings.get(k))
        raise InputError(
            f"{out} holds the features of something else ({', '.join(changed)} differ): name "
            "another folder with --out, or remove this one"
        )
    for leftover in out.glob("shard-*.new"):
        shutil.rmtree(leftover)


def encode_files(
    images: Sequence[tuple[Path, Sequence[Box]]],
    model: Model,
    regions: str,
    before: int = 0,
    progress: Callable[[int], None] = lambda done: None,
    proposing: Model | None = None,
) -> Iterator[ImageVectors]:
    """Yield the boxes and embeddings of every image file, in order.

    images: files, with the boxes of their objects where regions is "annotated"; before: images that
    count as done; proposing: the model that chooses the regions, where it is not the one that
    encodes them. Raises DataError for an image that cannot be read.
    """
    proposer = None
    if regions != ANNOTATED:
        proposer = parse_proposer(regions, (proposing or model).capabilities)
    if proposing not in (None, model) and isinstance(proposer, FinderProposer) and proposer.side:
        raise InputError(
            f"{regions} encodes its small crops itself: with a region model, name regions without "
            '"at", such as objects160x8'
        )

    def cut(image: tuple[Path, Sequence[Box]]) -> tuple[Proposals, UInt8]:
        return _cut(*image, model.encoder.preprocessing, proposer)

    found = encode_ahead(images, cut, model.encoder)
    for done, (proposals, embeddings) in enumerate(found, before + 1):
        assert embeddings is not None
        yield proposals.complete(embeddings)
        progress(done)


def _cut(
    path: Path, objects: Sequence[Box], preprocessing: Preprocessing, proposer: Proposer | None
) -> tuple[Proposals, UInt8]:
    """Cut the regions that a proposer names, or without one the objects, out of a file."""
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
