"""Reads instances in COCO's JSON format: MSCOCO, LVIS v0.5 and v1, and whatever exports it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from finesight.annotations.coco import CocoAnnotation, CocoImage, parse_coco
from finesight.annotations.json_files import expecting, read_json
from finesight.boxes import normalised
from finesight.errors import DataError
from finesight.research.datasets.image_files import find_files
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet


def load(annotations: Path, images: Path | None = None) -> LabelledSet:
    """Read an annotation file; the image files are found at once, and must all be there.

    images: the folder that holds the files, or the folders train2017, val2017 ... with them; if
    not given, the annotation file's own folder and those beside it are tried.
    Raises InputError where a file is missing, DataError where the annotations are damaged.
    """
    content = read_json(annotations)
    with expecting(
        f"{annotations} is not in COCO's instances format, or is damaged",
        "it needs images, annotations and categories",
    ):
        coco = parse_coco(content, needs=["images", "annotations", "categories"])
        pictures = sorted(coco.images or (), key=lambda picture: picture.id)
        labelled = [_labelled(each, coco.annotations.get(each.id, ())) for each in pictures]
        classes = [_spoken(coco.categories[key]) for key in sorted(coco.categories)]
    if not pictures:
        raise DataError(f"{annotations} lists no image")
    folders = [images] if images is not None else [annotations.parent, annotations.parent.parent]
    inside = [d for f in folders if f.is_dir() for d in sorted(f.iterdir()) if d.is_dir()]
    # LVIS's URL names a folder that may be missing here.
    names = [
        [each.names[0], each.names[0].split("/")[-1]] if "coco_url" in each.entry else each.names
        for each in pictures
    ]
    where = ", ".join(map(str, folders))
    paths = find_files(names, [*folders, *inside], str(annotations), where)
    return LabelledSet(
        tuple(dict.fromkeys(classes)),
        tuple(replace(image, path=path) for image, path in zip(labelled, paths, strict=True)),
    )


def _labelled(picture: CocoImage, things: Sequence[CocoAnnotation]) -> LabelledImage:
    """Return an image with its objects; its file is still to be found."""
    if picture.size is None:
        raise ValueError(f"image {picture.id} has no width and height")
    width, height = picture.size
    objects = []
    for thing in things:
        if thing.box_px is None or not np.isfinite(thing.box_px).all() or thing.category is None:
            raise ValueError(f"an object of image {picture.id} has no box or no category")
        x0, y0, x1, y1 = thing.box_px
        area = (x1 - x0) * (y1 - y0) if thing.area is None else thing.area
        box = normalised(thing.box_px, width, height)
        objects.append(LabelledObject(_spoken(thing.category), box, area / (width * height)))
    absent = None if picture.absent is None else frozenset(map(_spoken, picture.absent))
    return LabelledImage(Path(picture.names[0]), width, height, tuple(objects), absent)


def _spoken(name: str) -> str:
    """LVIS's "wine_bottle" and "bow_(weapon)" as a person would type them."""
    return name.split("_(")[0].replace("_", " ").strip()
