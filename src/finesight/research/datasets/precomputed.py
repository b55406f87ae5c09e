"""Reads features that a detector computed: SCAN's `{split}_ims.npy` with its captions.

Format (Lee et al. 2018; f30k_precomp, coco_precomp): `{split}_caps.txt`, one caption a line, five
for an image; `{split}_ims.npy` (n, 36, 2048), in some copies repeated for each caption (5 n); and
`{split}_ids.txt`, one a line. COCO's 5,000 test images are the split `testall`, `test` its first
1,000.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finesight.errors import DataError, InputError
from finesight.research.datasets.records import CaptionSet

PER_IMAGE = 5

_CAPTIONS = "_caps.txt"
_COMPARED = 8  # images whose repeated features are compared: all of them would be read from disk


@dataclass(frozen=True)
class PrecomputedSet:
    """Captions, and the features of their images: (n, p, d), memory-mapped, not normalised."""

    captions: CaptionSet
    features: np.ndarray


def is_precomputed(directory: Path) -> bool:
    """Whether a folder holds such features."""
    return directory.is_dir() and bool(_splits(directory))


def load(directory: Path, split: str = "test", per_image: int = PER_IMAGE) -> PrecomputedSet:
    """Read one split.

    Raises InputError for a split that is not there, and DataError where captions, features and ids
    do not fit each other.
    """
    caps, ims, ids = (directory / f"{split}_{end}" for end in ("caps.txt", "ims.npy", "ids.txt"))
    if not caps.is_file():
        there = ", ".join(_splits(directory)) or "no split at all"
        raise InputError(f"{directory} has no split {split!r} ({caps.name}): it has {there}")
    captions = read_captions(directory, split)
    if len(captions) % per_image:
        raise DataError(
            f"{caps} has {len(captions)} captions, which is not {per_image} for every image: a "
            "line is missing or too many"
        )
    count = len(captions) // per_image
    features = _features(ims, caps, count, per_image)
    return PrecomputedSet(
        CaptionSet(
            f"{directory.name} {split}",
            _ids(ids, caps, count, per_image),
            tuple(captions),
            np.repeat(np.arange(count), per_image),
        ),
        features,
    )


def read_captions(directory: Path, split: str) -> list[str]:
    """Return the captions of a split that is there, in the order of the file."""
    path = directory / f"{split}{_CAPTIONS}"
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8: {error}") from error
    # Not splitlines: captions may hold the rarer line separators.
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _splits(directory: Path) -> list[str]:
    return sorted(path.name.removesuffix(_CAPTIONS) for path in directory.glob(f"*{_CAPTIONS}"))


def _features(path: Path, caps: Path, count: int, per_image: int) -> np.ndarray:
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
    if len(found) != count * per_image:
        raise DataError(
            f"{path.name} has features of {len(found)} images, but {caps} has {count * per_image} "
            f"captions, {per_image} for each of {count} images: they are not of the same split"
        )
    for image in np.linspace(0, count - 1, min(count, _COMPARED)).astype(int):
        group = found[image * per_image : (image + 1) * per_image]
        if not (group == group[:1]).all():
            raise DataError(
                f"{path.name} has a row for every caption, but those of image {image} differ: it "
                f"is not {per_image} rows for each image in turn"
            )
    return found[::per_image]


def _ids(path: Path, caps: Path, count: int, per_image: int) -> tuple[str, ...]:
    """Return the images' names; numbers where there is no file of them."""
    if not path.is_file():
        return tuple(str(number) for number in range(count))
    ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(ids) == count:
        return tuple(ids)
    repeated = [ids[i : i + per_image] for i in range(0, len(ids), per_image)]
    if len(ids) != count * per_image or any(len(set(group)) > 1 for group in repeated):
        raise DataError(
            f"{path.name} has {len(ids)} ids, but {caps} has captions of {count} images: they are "
            "not of the same split"
        )
    return tuple(group[0] for group in repeated)
