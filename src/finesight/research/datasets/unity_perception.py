"""Reads boxes that Unity's Perception package wrote: the older format and SOLO (Perception 1.0).

Formats: docs.unity3d.com, Perception package, "Synthetic dataset schema" and "SOLO schema". The
older one keeps `captures_000.json` ... beside the images, SOLO one `*.frame_data.json` per frame.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.annotations.json_files import expecting, read_json
from finesight.boxes import normalised
from finesight.errors import InputError
from finesight.research.datasets.image_files import size_of
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet
from finesight.types import Box


def is_perception(directory: Path) -> bool:
    """Whether a folder looks like one that Perception wrote."""
    return bool(_files(directory))


def load(directory: Path) -> LabelledSet:
    """Read a folder; raises InputError where there is nothing, DataError where it is damaged."""
    images = [image for path in _files(directory) for image in _images(path, directory)]
    if not images:
        raise InputError(
            f"{directory} holds no captures_*.json and no *.frame_data.json: name the folder that "
            "Unity Perception wrote"
        )
    classes = sorted({thing.class_name for image in images for thing in image.objects})
    return LabelledSet(tuple(classes), tuple(images))


def _files(directory: Path) -> list[Path]:
    """Return the files of the older format, where there are none those of SOLO."""
    older = [*directory.glob("captures_*.json"), *directory.glob("*/captures_*.json")]
    return sorted(older or directory.glob("**/*.frame_data.json"))


def _images(path: Path, directory: Path) -> list[LabelledImage]:
    """Return the images of a file of captures, of either format."""
    content = read_json(path, "copy it again")
    images = []
    with expecting(f"{path} is damaged or not of Unity Perception", "copy it again"):
        for capture in content["captures"]:
            annotations = capture.get("annotations", [])
            values = [value for each in annotations for value in each.get("values") or []]
            boxes = [found for value in values if (found := _box(value)) is not None]
            name = capture["filename"]
            places = (path.parent / name, directory / name)
            file = next((place for place in places if place.is_file()), None)
            if file is None:
                raise InputError(f"the image {places[0]} does not exist: copy the whole dataset")
            width, height = size_of(file)
            objects = tuple(
                LabelledObject(
                    kind,
                    normalised((x0, y0, x1, y1), width, height),
                    (x1 - x0) * (y1 - y0) / (width * height),
                )
                for kind, (x0, y0, x1, y1) in boxes
            )
            images.append(LabelledImage(file, width, height, objects))
    return images


def _box(value: Mapping[str, Any]) -> tuple[str, Box] | None:
    """Return name and box (xyxy, pixels) of a value, None for another kind of annotation."""
    if "label_name" in value and "width" in value:
        name = value["label_name"]
        x, y, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))
    elif "labelName" in value and "origin" in value:
        name = value["labelName"]
        (x, y), (width, height) = value["origin"], value["dimension"]
    else:
        return None
    return name, (x, y, x + width, y + height)
