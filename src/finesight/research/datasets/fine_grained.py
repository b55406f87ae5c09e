"""Reads Flickr30K-FG and MSCOCO-FG: test captions rewritten in more detail, in larger image pools.

Format (Chen, Yao and Jin, SIGIR 2023, github.com/cwj1412/MSCOCO-Flikcr30K_FG): a JSON file from an
image's name without its ending to five captions, and a NumPy file with the file names of the pool.
The same without a pool is the plainest format of captions there is: `{image: [caption, ...]}`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from finesight.annotations.json_files import MALFORMED
from finesight.errors import DataError, InputError
from finesight.research.datasets.records import CaptionSet

_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def parse(content: Any, path: Path, pool: Path | None = None) -> CaptionSet:
    """Return the images and captions of what such a file holds.

    pool: file names, in a .npy file or one a line, that are ranked; those without captions only
    stand in the way. Without it, the images are those of the captions; a name without an ending
    means a .jpg. Raises DataError where a captioned image is not in the pool.
    """
    try:
        said = {str(name): [str(text).strip() for text in texts] for name, texts in content.items()}
    except MALFORMED as error:
        raise DataError(
            f"{path} is not captions by image, or is damaged ({error!r}): it needs "
            "{IMAGE: [TEXT, ...], ...}"
        ) from error
    files = [_with_ending(name) for name in said] if pool is None else _names(pool)
    place = {_stem(file): i for i, file in enumerate(files)}
    lost = [name for name in said if _stem(name) not in place]
    if lost:
        raise DataError(
            f"{len(lost)} of the {len(said)} images of {path} are not in the pool {pool} (the "
            f"first is {lost[0]}): they are of different sets"
        )
    owner = [place[_stem(name)] for name, texts in said.items() for _ in texts]
    captions = tuple(text for texts in said.values() for text in texts)
    return CaptionSet(path.stem, tuple(files), captions, np.array(owner, np.int64))


def _with_ending(name: str) -> str:
    return name if Path(name).suffix.lower() in _ENDINGS else f"{name}.jpg"


def _stem(name: str) -> str:
    """The name without its folder and its ending, if it has one that images have."""
    path = Path(name)
    return path.stem if path.suffix.lower() in _ENDINGS else path.name


def _names(pool: Path) -> list[str]:
    if not pool.is_file():
        raise InputError(f"the pool {pool} does not exist")
    try:
        if pool.suffix == ".npy":
            return [str(name) for name in np.load(pool, allow_pickle=False).ravel()]
        return [line.strip() for line in pool.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise DataError(
            f"the pool {pool} cannot be read ({error}): a file that holds pickled objects is not "
            "loaded; write the names one a line into a text file"
        ) from error
