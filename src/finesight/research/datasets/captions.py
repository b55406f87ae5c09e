"""Images with sentences, in whichever of the published formats they come."""

from pathlib import Path

from finesight.annotations.json_files import read_json
from finesight.errors import DataError, InputError
from finesight.research.datasets import (
    caption_list,
    clevr_captions,
    fine_grained,
    karpathy,
    precomputed,
)
from finesight.research.datasets.image_files import find_files
from finesight.research.datasets.records import CaptionSet


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
    `karpathy.parse`; pool: see `fine_grained.parse`.
    Raises InputError or DataError, which say what does not fit.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist")
    if source.is_dir() and precomputed.is_precomputed(source):
        return precomputed.load(source, split or "test").captions
    content = None if source.is_dir() or source.suffix == ".jsonl" else read_json(source)
    splits = isinstance(content, dict) and isinstance(content.get("images"), list)
    if split is not None and not splits:
        raise InputError(f"{source} has no splits, so it has no {split!r} either: leave it out")
    if pool is not None and (splits or not isinstance(content, dict)):
        raise InputError(f"{source} has all its images with captions: a pool ({pool}) has no place")
    if source.is_dir():
        return clevr_captions.load(source)
    if source.suffix == ".jsonl":
        return caption_list.load_lines(source)
    if splits:
        return karpathy.parse(content, source, split or "test", restval, per_image)
    if isinstance(content, list):
        return caption_list.parse(content, source)
    if isinstance(content, dict):
        return fine_grained.parse(content, source, pool)
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
