"""Reads boxes that Unity's Perception package wrote: the older format and SOLO (Perception 1.0).

Formats: docs.unity3d.com, Perception package, "Synthetic dataset schema" and "SOLO schema". The
older one keeps `captures_000.json` ... beside the images, SOLO one `*.frame_data.json` per frame.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.annotations.json_files import MALFORMED, parse_json
from finesight.errors import DataError, InputError
from finesight.research.datasets.image_files import size_of
from finesight.research.datasets.records import (
    LabelledImage,
    LabelledObject,
    LabelledSet,
    normalised,
)
from finesight.types import Box


def is_perception(directory: Path) -> bool:
    """Whether a folder looks like one that Perception wrote."""
    return bool(_captures(directory) or _frames(directory))


def load(directory: Path) -> LabelledSet:
    """Read a folder; raises InputError where there is nothing, DataError where it is damaged."""
    if captures := _captures(directory):
        pairs = [pair for path in captures for pair in _older(path, directory)]
    else:
        pairs = [pair for path in _frames(directory) for pair in _solo(path)]
    if not pairs:
        raise InputError(
            f"{directory} holds no captures_*.json and no *.frame_data.json: name the folder that "
            "Unity Perception wrote"
        )
    images = []
    for path, objects in pairs:
        width, height = size_of(path)
        things = tuple(
            LabelledObject(
                name,
                normalised((x0, y0, x1, y1), width, height),
                (x1 - x0) * (y1 - y0) / width / height,
            )
            for name, (x0, y0, x1, y1) in objects
        )
        images.append(LabelledImage(path, width, height, things))
    classes = sorted({thing.class_name for image in images for thing in image.objects})
    return LabelledSet(tuple(classes), tuple(images))


_Object = tuple[str, Box]
"""Name and box, xyxy in pixels."""

_Found = tuple[Path, list[_Object]]
"""An image file and its objects."""


def _captures(directory: Path) -> list[Path]:
    return sorted([*directory.glob("captures_*.json"), *directory.glob("*/captures_*.json")])


def _frames(directory: Path) -> list[Path]:
    return sorted(directory.glob("**/*.frame_data.json"))


def _older(path: Path, directory: Path) -> Iterator[_Found]:
    def named_box(value: Mapping[str, Any]) -> _Object | None:
        if "label_name" not in value or "width" not in value:
            return None
        x, y, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))
        return value["label_name"], (x, y, x + width, y + height)

    return _read(path, (path.parent, directory), named_box)


def _solo(path: Path) -> Iterator[_Found]:
    def named_box(value: Mapping[str, Any]) -> _Object | None:
        if "labelName" not in value or "origin" not in value:
            return None
        (x, y), (width, height) = value["origin"], value["dimension"]
        return value["labelName"], (x, y, x + width, y + height)

    return _read(path, (path.parent,), named_box)


def _read(
    path: Path, folders: Sequence[Path], named_box: Callable[[Mapping[str, Any]], _Object | None]
) -> Iterator[_Found]:
    """Yield the images of a file of captures; named_box: reads a value, None for another kind."""
    try:
        for capture in parse_json(path.read_bytes())["captures"]:
            values = [
                v for each in capture.get("annotations", []) for v in each.get("values") or []
            ]
            objects = [found for value in values if (found := named_box(value)) is not None]
            yield _beside(capture["filename"], folders), objects
    except (OSError, *MALFORMED) as error:
        raise DataError(
            f"{path} is damaged or not of Unity Perception ({error!r}): copy it again"
        ) from error


def _beside(name: str, folders: Sequence[Path]) -> Path:
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"the image {name} is not in {folders[0]}: copy the whole dataset")
    return path
