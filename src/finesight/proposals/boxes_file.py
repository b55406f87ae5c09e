"""A detector that has looked already: boxes from a COCO results file, or a data set's true boxes.

Formats (cocodataset.org/#format-results and #format-data): a list of {image_id, bbox, score}, or
an object with images and annotations, whose boxes have no score and are all sure. Boxes are x, y,
width, height in pixels.
"""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from finesight.boxes import OVERLAP, ScoredBoxes
from finesight.errors import DataError, InputError
from finesight.images.open import ImageError, Picture
from finesight.types import Float32

_NUMBER = re.compile(r"([0-9]+)$")
_DEPTH = 4  # folders of an image's path that may stand before its name in the file
_INSIDE = 0.5  # share of a box that must lie in a tile of a very large image


class BoxesFile:
    """The boxes of every image of a file; least, overlap and reads_pixels: see `Detector`.

    images: a file in COCO's format that names the images of a results file, whose numbers are else
    looked for at the end of the images' names (COCO_val2014_000000000139.jpg).
    Raises InputError where a file is missing, DataError where it is damaged.
    """

    least = 0.0
    reads_pixels = False

    def __init__(self, path: Path, images: Path | None = None) -> None:
        self.path = path
        content = _read(path)
        named = content if images is None else _read(images)
        try:
            found = content if isinstance(content, list) else content["annotations"]
            # Of annotations every box is a thing of its own, however much it covers another.
            self.overlap = OVERLAP if isinstance(content, list) else 1.0
            self._boxes = _by_image(found)
            pictures = named["images"] if isinstance(named, dict) else None
            self._names = None if pictures is None else _names(pictures)
            self._sizes = {
                _id(picture["id"]): (int(picture["width"]), int(picture["height"]))
                for picture in pictures or []
                if "width" in picture and "height" in picture
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path} holds no boxes, or is damaged ({error!r}): it needs COCO's results "
                "[{image_id, bbox, score}, ...] or COCO's images and annotations"
            ) from error

    def detect(self, picture: Picture) -> ScoredBoxes:
        """Return the boxes of the picture's file; raises ImageError for an unknown image."""
        if picture.path is None:
            raise InputError(
                f"the boxes of {self.path} are of files, and this image is not one of them"
            )
        number = self._number(picture.path)
        left, top, right, bottom = picture.box
        # A tile's size tells the whole image's, in which the boxes are.
        whole = picture.size[0] / (right - left), picture.size[1] / (bottom - top)
        width, height = self._sizes.get(number, whole)
        if number not in self._boxes:
            return ScoredBoxes(np.empty((0, 4), np.float32), np.empty(0, np.float32))
        boxes, scores = self._boxes[number]
        shares = boxes / np.array([width, height] * 2, np.float32)
        return _within(shares, scores, np.array(picture.box, np.float32))

    def _number(self, path: Path) -> Any:
        """The id of an image file."""
        if self._names is None:
            match = _NUMBER.search(path.stem)
            if match is None:
                raise ImageError(
                    f"has no number at the end of its name, by which {self.path} would know it: "
                    "name the file of its images with images=FILE"
                )
            return int(match[1])
        for depth in range(min(_DEPTH, len(path.parts)), 0, -1):
            name = "/".join(path.parts[-depth:])
            if name in self._names:
                return self._names[name]
        raise ImageError(
            f"is not among the {len(set(self._names.values()))} images of {self.path}, whose "
            "boxes were asked for"
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON, or is damaged ({error})") from error


def _by_image(found: list[dict[str, Any]]) -> dict[Any, tuple[Float32, Float32]]:
    """Return the boxes (r, 4), xyxy in pixels, and scores (r,) by the id of their image."""
    rows: dict[Any, list[list[float]]] = defaultdict(list)
    for thing in found:
        x, y, width, height = (float(edge) for edge in thing["bbox"])
        row = [x, y, x + width, y + height, float(thing.get("score", 1.0))]
        rows[_id(thing["image_id"])].append(row)
    arrays = {key: np.array(each, np.float32) for key, each in rows.items()}
    return {key: (each[:, :4], each[:, 4]) for key, each in arrays.items()}


def _id(number: Any) -> Any:
    """An image's id; numbers may stand as texts."""
    return int(number) if isinstance(number, str) and number.isdigit() else number


def _names(pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the id of every name; without its folder, a name counts where it means one image.

    LVIS names an image by its URL, whose last folder the file is in.
    """
    names: dict[str, Any] = {}
    short: dict[str, set[Any]] = defaultdict(set)
    for picture in pictures:
        number = _id(picture["id"])
        said = [str(picture[key]) for key in ("file_name", "coco_url") if key in picture]
        for name in said:
            names["/".join(name.split("/")[-2:]) if "://" in name else name] = number
            short[name.split("/")[-1]].add(number)
    alone = {name: ids.pop() for name, ids in short.items() if len(ids) == 1}
    return alone | names


def _within(boxes: Float32, scores: Float32, tile: Float32) -> ScoredBoxes:
    """Return the boxes that lie mostly in a part of the image, normalised to that part."""
    cut = np.concatenate(
        [np.maximum(boxes[:, :2], tile[:2]), np.minimum(boxes[:, 2:], tile[2:])], axis=1
    )
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    inside = np.maximum(cut[:, 2:] - cut[:, :2], 0).prod(axis=1) > _INSIDE * areas
    scale = np.tile(tile[2:] - tile[:2], 2)
    placed = (cut[inside] - np.tile(tile[:2], 2)) / scale
    return ScoredBoxes(placed.astype(np.float32), scores[inside])
