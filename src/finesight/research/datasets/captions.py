"""Images with sentences, in whichever of the published formats they come.

The plainest two are read here. Lists, as ALBEF, BLIP and X-VLM publish them for Flickr30K and COCO:
`[{"image": "flickr30k-images/1.jpg", "caption": ["...", ...]}, ...]`; in lists for training,
`caption` is one text and an image has several entries. And captions by image, `{IMAGE: [TEXT,
...]}`, as Flickr30K-FG and MSCOCO-FG have them (Chen, Yao and Jin, SIGIR 2023,
github.com/cwj1412/MSCOCO-Flikcr30K_FG): test captions rewritten in more detail, by image names
without ending, and a NumPy file with the file names of a larger pool.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from finesight.annotations.json_files import expecting, read_json, read_json_lines
from finesight.errors import DataError, InputError
from finesight.research.datasets import karpathy, precomputed, scene_texts
from finesight.research.datasets.image_files import find_files
from finesight.research.datasets.records import CaptionSet

_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def read_captions(
    source: Path,
    split: str | None = None,
    *,
    restval: bool = True,
    per_image: int | None = karpathy.PER_IMAGE,
    pool: Path | None = None,
) -> CaptionSet:
    """Read the images and captions of a dataset.

    source: a folder of `finesight render scenes` or of SCAN's features, or a JSON file: Karpathy's,
    an evaluation list, captions by image (Flickr30K-FG), or what `finesight caption` wrote
    (.jsonl). split: where the source has several, else "test"; restval, per_image: see
    `karpathy.parse`; pool: of captions by image, the file names that are ranked, in a .npy file or
    one a line; those without captions only stand in the way. Without it, the images are those of
    the captions; a name without an ending means a .jpg.
    Raises InputError or DataError, which say what does not fit.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist")
    if precomputed.is_precomputed(source):
        return precomputed.load(source, split or "test")[0]
    content = None if source.is_dir() or source.suffix == ".jsonl" else read_json(source)
    splits = isinstance(content, dict) and isinstance(content.get("images"), list)
    if split is not None and not splits:
        raise InputError(f"{source} has no splits, so it has no {split!r} either: leave it out")
    if pool is not None and (splits or not isinstance(content, dict)):
        raise InputError(f"{source} has all its images with captions: a pool ({pool}) has no place")
    if source.is_dir():
        return scene_texts.load_captions(source)
    if source.suffix == ".jsonl":
        return _of_list(read_json_lines(source, lambda entry: entry), source)
    if splits:
        return karpathy.parse(content, source, split or "test", restval, per_image)
    if isinstance(content, list):
        return _of_list(content, source)
    if isinstance(content, dict):
        return _by_image(content, source, pool)
    raise DataError(
        f"{source} holds neither Karpathy's images, nor a list of images with captions, nor "
        "captions by image"
    )


def find_images(captions: CaptionSet, folder: Path) -> list[Path]:
    """Return the file of every image; raises InputError where some are not in the folder.

    A name is looked for with its own folder and without.
    """
    names = [(name, Path(name).name) for name in captions.images]
    return find_files(names, [folder], captions.name, str(folder))


def _of_list(entries: Iterable[Any], path: Path) -> CaptionSet:
    """Return the images and captions of a list, each image once, in its order."""
    place: dict[str, int] = {}
    captions: list[str] = []
    owner: list[int] = []
    for number, entry in enumerate(entries, 1):
        with expecting(
            f"{path}, entry {number} is not an image with its captions",
            'it needs {"image": FILE, "caption": [TEXT, ...]}',
        ):
            said = entry["caption"]
            texts = [said] if isinstance(said, str) else [str(text) for text in said]
            image = place.setdefault(str(entry["image"]), len(place))
        captions += [text.strip() for text in texts]
        owner += [image] * len(texts)
    return CaptionSet(path.stem, tuple(place), tuple(captions), np.array(owner, np.int64))


def _by_image(content: Any, path: Path, pool: Path | None) -> CaptionSet:
    """Return the captions by image; raises DataError where one is not of an image of the pool."""
    with expecting(
        f"{path} is not captions by image, or is damaged", "it needs {IMAGE: [TEXT, ...], ...}"
    ):
        said = {str(name): [str(text).strip() for text in texts] for name, texts in content.items()}
    named = (name if _has_ending(name) else f"{name}.jpg" for name in said)
    files = list(named) if pool is None else _names(pool)
    place = {_stem(file): i for i, file in enumerate(files)}
    if lost := [name for name in said if _stem(name) not in place]:
        raise DataError(
            f"{len(lost)} of the {len(said)} images of {path} are not in the pool {pool} (the "
            f"first is {lost[0]}): they are of different sets"
        )
    owner = [place[_stem(name)] for name, texts in said.items() for _ in texts]
    captions = tuple(text for texts in said.values() for text in texts)
    return CaptionSet(path.stem, tuple(files), captions, np.array(owner, np.int64))


def _has_ending(name: str) -> bool:
    return Path(name).suffix.lower() in _ENDINGS


def _stem(name: str) -> str:
    """The name without its folder and its ending, if it has one that images have."""
    return Path(name).stem if _has_ending(name) else Path(name).name


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
