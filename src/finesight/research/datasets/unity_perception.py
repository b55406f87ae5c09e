"""Reads boxes that Unity's Perception package wrote: the older format and SOLO (Perception 1.0).

Formats: docs.unity3d.com, Perception package, "Synthetic dataset schema" and "SOLO schema". The
older one keeps `captures_000.json` ... beside the images, SOLO one `*.frame_data.json` per frame.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finesight.annotations.json_files import MALFORMED, parse_json
from finesight.boxes import normalised
from finesight.errors import DataError, InputError
from finesight.research.datasets.image_files import size_of
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet
from finesight.types import Box


def is_perception(directory: Path) -> bool:
    """Whether a folder looks like one that Perception wrote."""
    return bool(_captures(directory) or _frames(directory))


def load(directory: Path) -> LabelledSet:
    """Read a folder; raises InputError where there is nothing, DataError where it is damaged."""
    files = _captures(directory) or _frames(directory)
    pairs = [pair for path in files for pair in _read(path, directory)]
    if not pairs:
        raise InputError(
            f"{directory} holds no captures_*.json and no *.frame_data.json: name the folder that "
            "Unity Perception wrote"
        )
    images = []
    for path, objects in pairs:
        width, height = size_of(path)
        things = tuple(
            LabelledObject(name, normalised(box, width, height), _area(box) / (width * height))
            for name, box in objects
        )
        images.append(LabelledImage(path, width, height, things))
    classes = sorted({thing.class_name for image in images for thing in image.objects})
    return LabelledSet(tuple(classes), tuple(images))


_Object = tuple[str, Box]
"""Name and box, xyxy in pixels."""

_Found = tuple[Path, list[_Object]]
"""An image file and its objects."""


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _captures(directory: Path) -> list[Path]:
    return sorted([*directory.glob("captures_*.json"), *directory.glob("*/captures_*.json")])


def _frames(directory: Path) -> list[Path]:
    return sorted(directory.glob("**/*.frame_data.json"))


def _read(path: Path, directory: Path) -> Iterator[_Found]:
    """Yield the images of a file of captures, of either format."""
    try:
        for capture in parse_json(path.read_bytes())["captures"]:
            annotations = capture.get("annotations", [])
            values = [value for each in annotations for value in each.get("values") or []]
            objects = [found for value in values if (found := _object(value)) is not None]
            yield _beside(capture["filename"], path.parent, directory), objects
    except (OSError, *MALFORMED) as error:
        raise DataError(
            f"{path} is damaged or not of Unity Perception ({error!r}): copy it again"
        ) from error


def _object(value: Mapping[str, Any]) -> _Object | None:
    """Return name and box of a value, None where it is of another kind of annotation."""
    if "label_name" in value and "width" in value:
        name = value["label_name"]
        x, y, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))
    elif "labelName" in value and "origin" in value:
        name = value["labelName"]
        (x, y), (width, height) = value["origin"], value["dimension"]
    else:
        return None
    return name, (x, y, x + width, y + height)


def _beside(name: str, *folders: Path) -> Path:
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"the image {name} is not in {folders[0]}: copy the whole dataset")
    return path
