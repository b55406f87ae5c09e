"""Reads boxes that Unity's Perception package wrote: the older format and SOLO (Perception 1.0).

Formats: docs.unity3d.com, Perception package, "Synthetic dataset schema" and "SOLO schema". The
older one keeps `captures_000.json` ... beside the images, SOLO one `*.frame_data.json` a frame.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finesight.errors import DataError, InputError
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet
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
        width, height = _size(path)
        things = tuple(
            LabelledObject(name, _normalised(box, width, height), box[2] * box[3] / width / height)
            for name, box in objects
        )
        images.append(LabelledImage(path, width, height, things))
    classes = sorted({thing.class_name for image in images for thing in image.objects})
    return LabelledSet(tuple(classes), tuple(images))


_Found = tuple[Path, list[tuple[str, tuple[float, float, float, float]]]]
"""An image file and its objects: name and box as x, y, width, height in pixels."""


def _captures(directory: Path) -> list[Path]:
    return sorted([*directory.glob("captures_*.json"), *directory.glob("*/captures_*.json")])


def _frames(directory: Path) -> list[Path]:
    return sorted(directory.glob("**/*.frame_data.json"))


def _older(path: Path, directory: Path) -> Iterator[_Found]:
    content = _read(path)
    try:
        for capture in content["captures"]:
            boxes = [
                (value["label_name"], (value["x"], value["y"], value["width"], value["height"]))
                for annotation in capture["annotations"]
                for value in annotation.get("values") or []
                if "label_name" in value and "width" in value
            ]
            yield _beside(capture["filename"], path.parent, directory), boxes
    except (KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _solo(path: Path) -> Iterator[_Found]:
    content = _read(path)
    try:
        for capture in content["captures"]:
            boxes = [
                (value["labelName"], (*value["origin"], *value["dimension"]))
                for annotation in capture.get("annotations", [])
                for value in annotation.get("values") or []
                if "labelName" in value and "origin" in value
            ]
            yield _beside(capture["filename"], path.parent, path.parent), boxes
    except (KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _beside(name: str, *folders: Path) -> Path:
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"the image {name} is not in {folders[0]}: copy the whole dataset")
    return path


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is damaged or not of Unity Perception ({error!r}): copy it again")


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise DataError(f"{path} is not a readable image ({error})") from error


def _normalised(box: tuple[float, float, float, float], width: int, height: int) -> Box:
    x, y, w, h = box
    edges = x / width, y / height, (x + w) / width, (y + h) / height
    x0, y0, x1, y1 = (min(max(edge, 0.0), 1.0) for edge in edges)
    return x0, y0, x1, y1
