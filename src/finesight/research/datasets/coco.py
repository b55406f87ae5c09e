"""Reads instances in COCO's JSON format: MSCOCO, LVIS v0.5 and v1, and whatever exports it.

Formats: cocodataset.org/#format-data; lvisdataset.org (v0.5 names an image by its URL, and lists
which classes were looked for in it).
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from finesight.errors import DataError, InputError
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet


def load(annotations: Path, images: Path | None = None) -> LabelledSet:
    """Read an annotation file; the image files are found at once, and must all be there.

    images: the folder that holds the files, or the folders train2017, val2017 ... with them; if
    not given, the annotation file's own folder and those beside it are tried.
    Raises InputError where a file is missing, DataError where the annotations are damaged.
    """
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
        names = {kind["id"]: _spoken(kind["name"]) for kind in content["categories"]}
        things = defaultdict(list)
        for thing in content["annotations"]:
            things[thing["image_id"]].append(thing)
        pictures = sorted(content["images"], key=lambda picture: picture["id"])
        files = [_names(picture) for picture in pictures]
        sizes = [(int(picture["width"]), int(picture["height"])) for picture in pictures]
        objects = [
            tuple(_object(thing, names, size) for thing in things[picture["id"]])
            for picture, size in zip(pictures, sizes, strict=True)
        ]
        absent = [_absent(picture, names) for picture in pictures]
    except OSError as error:
        raise InputError(f"{annotations} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{annotations} is not in COCO's instances format, or is damaged ({error!r}): it needs "
            "images, annotations and categories"
        ) from error
    if not pictures:
        raise DataError(f"{annotations} lists no image")
    paths = _find(files, annotations, images)
    records = zip(paths, sizes, objects, absent, strict=True)
    return LabelledSet(
        tuple(dict.fromkeys(names[key] for key in sorted(names))),
        tuple(LabelledImage(path, *size, found, none) for path, size, found, none in records),
    )


def _spoken(name: str) -> str:
    """LVIS's "wine_bottle" and "bow_(weapon)" as a person would type them."""
    return name.split("_(")[0].replace("_", " ").strip()


def _names(picture: dict[str, Any]) -> tuple[str, str]:
    """Return the file's name, and with the folder that a URL says it is in ("val2017/1.jpg")."""
    if "coco_url" in picture:  # LVIS v0.5 has a file_name too, of the other year's naming
        folder, name = picture["coco_url"].split("/")[-2:]
        return name, f"{folder}/{name}"
    return str(picture["file_name"]), str(picture["file_name"])


def _object(thing: dict[str, Any], names: dict[int, str], size: tuple[int, int]) -> LabelledObject:
    width, height = size
    x, y, w, h = (float(edge) for edge in thing["bbox"])
    edges = x / width, y / height, (x + w) / width, (y + h) / height
    x0, y0, x1, y1 = (min(max(edge, 0.0), 1.0) for edge in edges)
    area = float(thing.get("area", w * h))
    return LabelledObject(names[thing["category_id"]], (x0, y0, x1, y1), area / (width * height))


def _absent(picture: dict[str, Any], names: dict[int, str]) -> frozenset[str] | None:
    if "neg_category_ids" not in picture:
        return None
    return frozenset(names[key] for key in picture["neg_category_ids"])


def _find(names: list[tuple[str, str]], annotations: Path, images: Path | None) -> list[Path]:
    """Return the file of every image, from the first folder that holds it."""
    folders = [images] if images is not None else [annotations.parent, annotations.parent.parent]
    inside = [d for f in folders if f.is_dir() for d in sorted(f.iterdir()) if d.is_dir()]
    places = [*folders, *inside]
    found: list[Path] = []
    missing: list[str] = []
    for short, long in names:
        tries = (folder / name for name in (long, short) for folder in places)
        path = next((path for path in tries if path.is_file()), None)
        if path is None:
            missing.append(long)
        else:
            found.append(path)
    if missing:
        where = ", ".join(map(str, folders))
        raise InputError(
            f"{len(missing)} of the {len(names)} images of {annotations} are not in {where} (the "
            f"first is {missing[0]}): name the folder that holds them with --images"
        )
    return found
