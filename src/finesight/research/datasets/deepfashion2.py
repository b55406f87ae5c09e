"""Reads DeepFashion2: shop and user photos of the same garments, one JSON file per image.

Format (Ge et al., CVPR 2019): `annos/000001.json` beside `image/000001.jpg`, with `source`,
`pair_id` and `item1`, `item2` ..., each with `style`, `bounding_box` (xyxy in pixels),
`category_name` and the levels `scale`, `occlusion`, `zoom_in`, `viewpoint`. Two items are the same
where pair_id and style are, and style is above 0.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path

from finesight.annotations.json_files import expecting, read_json
from finesight.boxes import normalised
from finesight.errors import DataError, InputError
from finesight.images.open import SUFFIXES
from finesight.research.datasets.image_files import size_of
from finesight.research.datasets.records import LEVELS, ItemSet, Photo, Thing

SOURCES = ("user", "shop")

_FOLDERS = ("image", "images")  # DeepFashion2's own name, and that of rendered sets
_ROUNDED = 1.0  # pixels that an edge may be outside: whoever wrote it rounded

IdentityOf = Callable[[Photo, int, int, int], Hashable | None]
"""Returns an item's identity: arguments photo, number of the item, pair_id and style.

Raises DataError for a photo that cannot be used.
"""


def by_pair_and_style(photo: Photo, number: int, pair: int, style: int) -> Hashable | None:
    """Return DeepFashion2's identity, None for style 0."""
    return (pair, style) if style > 0 else None


def is_deepfashion2(source: Path) -> bool:
    """Whether a folder has annotations and images as DeepFashion2 names them."""
    return (source / "annos").is_dir() and any((source / name).is_dir() for name in _FOLDERS)


def load(source: Path, identity_of: IdentityOf = by_pair_and_style) -> ItemSet:
    """Read a folder with `annos` and `image` (or `images`), in the order of the file names.

    A photo or an item that cannot be used is left out and reported in the set's `problems`: an
    image that is missing or broken, a file that is not such an annotation, a box of no area or
    outside its image. Boxes up to a pixel outside are cut. identity_of: says which items are the
    same where pair and style do not. Raises InputError where there is no such folder, DataError
    where nothing in it can be used.
    """
    if not is_deepfashion2(source):
        raise InputError(
            f"{source} is not a folder of DeepFashion2 (annos/ with a .json per image, beside "
            "image/): name the one that holds both, such as deepfashion2/validation"
        )
    folder = next(source / name for name in _FOLDERS if (source / name).is_dir())
    files = {
        path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES
    }
    photos: list[Photo] = []
    problems: list[str] = []
    for annotation in sorted((source / "annos").glob("*.json")):
        try:
            photos.append(_photo(annotation, files, folder, identity_of, problems))
        except (DataError, InputError) as error:
            problems.append(str(error))
    if not photos:
        raise DataError(
            f"{source / 'annos'} holds no annotation that can be used: "
            + (problems[0] if problems else "it has no .json files; copy the whole dataset")
        )
    return ItemSet(source.name, source, tuple(photos), tuple(problems))


def _photo(
    annotation: Path,
    files: Mapping[str, Path],
    folder: Path,
    identity_of: IdentityOf,
    problems: list[str],
) -> Photo:
    content = read_json(annotation)
    if annotation.stem not in files:
        raise InputError(
            f"{annotation}: its image {annotation.stem}.jpg is not in {folder}: copy it there"
        )
    width, height = size_of(files[annotation.stem])
    things = []
    with expecting(
        f"{annotation} is not an annotation of DeepFashion2, or is damaged",
        "it needs source, pair_id and item1 with style, bounding_box and category_name; copy it "
        "again",
    ):
        origin, pair = content["source"], int(content["pair_id"])
        if origin not in SOURCES:
            raise ValueError(f"source is user or shop, not {origin!r}")
        photo = Photo(files[annotation.stem], width, height, origin, ())
        for name, item in content.items():
            if not name.startswith("item"):
                continue
            number, style = int(name.removeprefix("item")), int(item["style"])
            box_px, category = tuple(map(float, item["bounding_box"])), str(item["category_name"])
            levels = {level: int(item[level]) for level in LEVELS if level in item}
            if len(box_px) != 4:
                raise ValueError(f"{name} has a bounding_box of {len(box_px)} numbers, not 4")
            identity = identity_of(photo, number, pair, style)
            if wrong := _wrong_box(box_px, width, height):
                problems.append(f"{annotation}, item{number}: {wrong}")
                continue
            box = normalised(box_px, width, height)
            things.append(Thing(category, box, identity, levels))
    return replace(photo, things=tuple(things))


def _wrong_box(box_px: tuple[float, ...], width: int, height: int) -> str | None:
    """Return what is wrong with a box (xyxy, pixels) of an image and what to do, or None."""
    x0, y0, x1, y1 = box_px
    shown = ", ".join(f"{edge:g}" for edge in box_px)
    if not (x0 < x1 and y0 < y1):  # also where one is not a number
        return f"the box {shown} has no area, it needs x0 < x1 and y0 < y1: mend it or remove it"
    if min(x0, y0) < -_ROUNDED or x1 > width + _ROUNDED or y1 > height + _ROUNDED:
        return (
            f"the box {shown} is outside its photo of {width} x {height} pixels: mend it, or take "
            "the photo in the size that was annotated"
        )
    return None
