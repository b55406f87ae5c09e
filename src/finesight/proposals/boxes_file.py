"""A detector that has run already: boxes from a COCO results file, or a data set's true boxes.

Formats (cocodataset.org/#format-results and #format-data): a list of {image_id, bbox, score}, or
an object with images and annotations, whose boxes have no score and are all sure. Boxes are x, y,
width, height in pixels.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finesight.annotations.coco import CocoAnnotation, CocoImage, parse_coco
from finesight.annotations.json_files import expecting, read_json
from finesight.boxes import OVERLAP, ScoredBoxes, areas, intersections
from finesight.errors import InputError
from finesight.images.open import ImageError, Picture
from finesight.types import Float32

_NUMBER = re.compile(r"([0-9]+)$")
_DEPTH = 4  # folders of an image's path that may stand before its name in the file
_MEND = "write or copy it again"
_INSIDE = 0.5  # share of a box that must lie in a tile of a very large image
_NOTHING = np.empty((0, 4), np.float32), np.empty(0, np.float32)


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
        content = read_json(path, _MEND)
        names = None if images is None else read_json(images, _MEND)
        # Of annotations every box is a thing of its own, however much it covers another.
        self.overlap = OVERLAP if isinstance(content, list) else 1.0
        with expecting(
            f"{path} holds no boxes, or is damaged",
            "it needs COCO's results [{image_id, bbox, score}, ...] or COCO's images and "
            "annotations",
        ):
            found = parse_coco(content, needs=["annotations"])
            named = (found if names is None else parse_coco(names)).images
            self._boxes = {key: _boxes(key, each) for key, each in found.annotations.items()}
        self._ids = None if named is None else _ids(named)
        self._sizes = {picture.id: picture.size for picture in named or () if picture.size}

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
        boxes, scores = self._boxes.get(number, _NOTHING)
        shares = boxes / np.array([width, height] * 2, np.float32)
        return _within(shares, scores, np.array(picture.box, np.float32))

    def _number(self, path: Path) -> Any:
        """The id of an image file."""
        if self._ids is None:
            match = _NUMBER.search(path.stem)
            if match is None:
                raise ImageError(
                    f"has no number at the end of its name, by which {self.path} would know it: "
                    "name the file of its images with images=FILE"
                )
            return int(match[1])
        for depth in range(min(_DEPTH, len(path.parts)), 0, -1):
            name = "/".join(path.parts[-depth:])
            if name in self._ids:
                return self._ids[name]
        raise ImageError(
            f"is not among the {len(set(self._ids.values()))} images of {self.path}, whose "
            "boxes were asked for"
        )


def _boxes(key: Any, found: Sequence[CocoAnnotation]) -> tuple[Float32, Float32]:
    """Return the boxes (r, 4), xyxy in pixels, and scores (r,) of an image."""
    if any(thing.box_px is None or thing.score is None for thing in found):
        raise ValueError(f"a box of image {key} is not four numbers, or has no score that is one")
    rows = np.array([(*thing.box_px, thing.score) for thing in found], np.float32)  # type: ignore[misc]
    return rows[:, :4], rows[:, 4]


def _ids(pictures: Iterable[CocoImage]) -> dict[str, Any]:
    """Return the id of every name; without its folder, a name counts where it means one image."""
    names = {name: picture.id for picture in pictures for name in picture.names}
    short: dict[str, set[Any]] = defaultdict(set)
    for name, number in names.items():
        short[name.split("/")[-1]].add(number)
    alone = {name: ids.pop() for name, ids in short.items() if len(ids) == 1}
    return alone | names


def _within(boxes: Float32, scores: Float32, tile: Float32) -> ScoredBoxes:
    """Return the boxes that lie mostly in a part of the image, normalised to that part."""
    inside = intersections(boxes, tile) > _INSIDE * areas(boxes)
    low, high = np.tile(tile[:2], 2), np.tile(tile[2:], 2)
    placed = (np.clip(boxes[inside], low, high) - low) / (high - low)
    return ScoredBoxes(placed.astype(np.float32), scores[inside])
