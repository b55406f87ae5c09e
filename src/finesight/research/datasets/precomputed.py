"""Reads features that a detector computed: SCAN's `{split}_ims.npy` with its captions.

Format (Lee et al. 2018; f30k_precomp, coco_precomp): `{split}_caps.txt`, one caption a line, five
for an image; `{split}_ims.npy` (n, 36, 2048), in some copies repeated for each caption (5 n); and
`{split}_ids.txt`, one a line. COCO's 5,000 test images are the split `testall`, `test` its first
1,000.
"""

from pathlib import Path

import numpy as np

from finesight.errors import DataError, InputError
from finesight.research.datasets.records import CaptionSet

PER_IMAGE = 5

_CAPTIONS = "_caps.txt"
_COMPARED = 8  # images whose repeated features are compared: all of them would be read from disk


def is_precomputed(directory: Path) -> bool:
    """Whether a folder holds such features."""
    return directory.is_dir() and bool(_splits(directory))


def load(directory: Path, split: str = "test") -> tuple[CaptionSet, np.ndarray]:
    """Read the captions of one split, and the features of their images.

    Features are (n, p, d), memory-mapped, not normalised.
    Raises InputError for a split that is not there, and DataError where captions, features and ids
    do not fit each other.
    """
    caps, ims, ids = (directory / f"{split}_{end}" for end in ("caps.txt", "ims.npy", "ids.txt"))
    if not caps.is_file():
        there = ", ".join(_splits(directory)) or "no split at all"
        raise InputError(f"{directory} has no split {split!r} ({caps.name}): it has {there}")
    try:
        text = caps.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{caps} is not text in UTF-8: {error}") from error
    # Not splitlines: captions may hold the rarer line separators.
    captions = tuple(line.strip() for line in text.removesuffix("\n").split("\n"))
    count, rest = divmod(len(captions), PER_IMAGE)
    if rest:
        raise DataError(
            f"{caps} has {len(captions)} captions, which is not {PER_IMAGE} for every image: a "
            "line is missing or too many"
        )
    features, owner = _features(ims, caps, count), np.repeat(np.arange(count), PER_IMAGE)
    name = f"{directory.name} {split}"
    return CaptionSet(name, _ids(ids, caps, count), captions, owner), features


def _splits(directory: Path) -> list[str]:
    return sorted(path.name.removesuffix(_CAPTIONS) for path in directory.glob(f"*{_CAPTIONS}"))


def _features(path: Path, caps: Path, count: int) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"the features {path.name} are not beside {caps}")
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged or cut off ({error}): copy it again") from error
    if found.ndim != 3 or found.dtype.kind != "f":
        raise DataError(
            f"{path} holds {found.dtype} of the shape {found.shape}: features are numbers of the "
            "shape (images, regions, width)"
        )
    if len(found) == count:
        return found
    if len(found) != count * PER_IMAGE:
        raise DataError(
            f"{path.name} has features of {len(found)} images, but {caps} has {count * PER_IMAGE} "
            f"captions, {PER_IMAGE} for each of {count} images: they are not of the same split"
        )
    for image in np.linspace(0, count - 1, min(count, _COMPARED)).astype(int):
        group = found[image * PER_IMAGE : (image + 1) * PER_IMAGE]
        if not (group == group[:1]).all():
            raise DataError(
                f"{path.name} has a row for every caption, but those of image {image} differ: it "
                f"is not {PER_IMAGE} rows for each image in turn"
            )
    return found[::PER_IMAGE]


def _ids(path: Path, caps: Path, count: int) -> tuple[str, ...]:
    """Return the images' names; numbers where there is no file of them."""
    if not path.is_file():
        return tuple(str(number) for number in range(count))
    ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(ids) == count:
        return tuple(ids)
    groups = [set(ids[i : i + PER_IMAGE]) for i in range(0, len(ids), PER_IMAGE)]
    if len(ids) != count * PER_IMAGE or any(len(group) > 1 for group in groups):
        raise DataError(
            f"{path.name} has {len(ids)} ids, but {caps} has captions of {count} images: they are "
            "not of the same split"
        )
    return tuple(ids[::PER_IMAGE])
