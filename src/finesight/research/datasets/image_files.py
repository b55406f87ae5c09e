"""The image files of a dataset: found by their names, and checked against their annotations."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from finesight.errors import DataError, InputError
from finesight.images.open import ImageError, image_size, read_image


def find_files(
    names: Sequence[Sequence[str]], places: Sequence[Path], whose: str, where: str
) -> list[Path]:
    """Return the file of every image, from the first of the places that has it.

    names: of each image, what its file may be called, the likeliest first; whose and where: the
    set and its folders in words. Raises InputError, with the first of them, where some are missing.
    """
    tried = [[place / name for name in tries for place in places] for tries in names]
    found = [next((path for path in paths if path.is_file()), None) for paths in tried]
    if missing := [tries[0] for tries, path in zip(names, found, strict=True) if path is None]:
        raise InputError(
            f"{len(missing)} of the {len(names)} images of {whose} are not in {where} (the first "
            f"is {missing[0]}): name the folder that holds them with --images"
        )
    return [path for path in found if path is not None]


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of an upright image; raises DataError for one that is none."""
    try:
        return image_size(path)
    except (OSError, ImageError) as error:
        raise DataError(f"{path} is no readable image ({error}): copy it again") from error


def read_of_set(path: Path) -> Image.Image:
    """Read an image of a dataset; raises DataError, with what to do, for one that is broken."""
    try:
        return read_image(path)
    except ImageError as error:
        raise DataError(f"{path}: {error}; mend it or take it out of the set") from error


def read_annotated(path: Path, width: int, height: int) -> Image.Image:
    """Read a photo whose annotation is of so many pixels; raises DataError where it is another."""
    image = read_of_set(path)
    if image.size != (width, height):
        raise DataError(
            f"{path} has {image.width} × {image.height} pixels and its annotation says {width} × "
            f"{height}: correct the annotation or restore the photo"
        )
    return image
