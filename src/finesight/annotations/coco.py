"""Reads COCO's JSON and what is like it: captions, instances, LVIS v0.5 and v1, results.

Formats: cocodataset.org/#format-data and #format-results; lvisdataset.org (an image is named by
its URL, and the classes that were looked for in it are listed). What a file lacks is None, and its
reader says whether that can be done without.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from finesight.types import Box


@dataclass(frozen=True)
class CocoImage:
    """An image of a file.

    id: numbers may stand as texts; names: by which its file may be known, the likeliest first,
    each with the folder that the annotations name; size: width and height in pixels; absent: the
    classes that were looked for and not found, None where that is not said; entry: all that the
    file says of it.
    """

    id: Any
    names: tuple[str, ...]
    size: tuple[int, int] | None
    absent: frozenset[str] | None
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """An object, a detection or a caption of an image.

    category: the class's name; box_px: xyxy, None without four numbers (NaN is one); score: 1 where
    the file has none, None where it is no number; area: of its outline, in pixels.
    """

    category: str | None
    caption: str | None
    box_px: Box | None
    score: float | None
    area: float | None


@dataclass(frozen=True)
class Coco:
    """What a file holds: names of classes by their ids, images, and annotations by image id.

    images: None where the file lists none, as results do.
    """

    categories: Mapping[Any, str]
    images: Sequence[CocoImage] | None
    annotations: Mapping[Any, Sequence[CocoAnnotation]]


def parse_coco(content: Any, needs: Sequence[str] = ()) -> Coco:
    """Return what such a file holds: an object of images and annotations, or a list of results.

    needs: of "images", "annotations" and "categories", what must be there.
    Raises one of `json_files.MALFORMED` where it is something else.
    """
    if isinstance(content, list):
        content = {"annotations": content}
    for section in needs:
        content[section]  # raises KeyError
    categories = {_id(kind["id"]): str(kind["name"]) for kind in content.get("categories", [])}
    annotations: dict[Any, list[CocoAnnotation]] = defaultdict(list)
    for entry in content.get("annotations", []):
        annotations[_id(entry["image_id"])].append(_annotation(entry, categories))
    images = None
    if "images" in content:
        images = [_image(entry, categories) for entry in content["images"]]
    return Coco(categories, images, annotations)


def _image(entry: Mapping[str, Any], categories: Mapping[Any, str]) -> CocoImage:
    names = tuple(plain_name(entry[key]) for key in ("coco_url", "file_name") if key in entry)
    if not names:
        raise KeyError("file_name")
    width, height = (_number(entry.get(side, 0)) or 0 for side in ("width", "height"))
    known = 1 <= width < inf and 1 <= height < inf
    absent = None
    if "neg_category_ids" in entry:
        ids = map(_id, entry["neg_category_ids"])
        absent = frozenset(categories[number] for number in ids if number in categories)
    size = (int(width), int(height)) if known else None
    return CocoImage(_id(entry["id"]), names, size, absent, entry)


def _annotation(entry: Mapping[str, Any], categories: Mapping[Any, str]) -> CocoAnnotation:
    caption = entry.get("caption")
    return CocoAnnotation(
        categories.get(_id(entry.get("category_id"))),
        None if caption is None else str(caption).strip(),
        _box(entry.get("bbox")),
        _number(entry.get("score", 1.0)),
        _number(entry.get("area")),
    )


def _box(edges: Any) -> Box | None:
    """Return xyxy of COCO's x, y, width and height."""
    if not isinstance(edges, list) or len(edges) != 4:
        return None
    x, y, width, height = map(_number, edges)
    if x is None or y is None or width is None or height is None:
        return None
    return x, y, x + width, y + height


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _id(number: Any) -> Any:
    """Return an id; numbers may stand as texts."""
    return int(number) if isinstance(number, str) and number.isdecimal() else number


def plain_name(name: Any) -> str:
    """Return a file's name below a folder; of a URL, with its last folder ("val2017/1.jpg")."""
    plain = str(name).replace("\\", "/").removeprefix("./")
    return "/".join(plain.split("/")[-2:]) if "://" in plain else plain
