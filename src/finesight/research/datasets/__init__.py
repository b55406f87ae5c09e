"""Published datasets, one format a file, read into the same records."""

from pathlib import Path

from finesight.errors import InputError
from finesight.research.datasets import clevr_ds, clevr_items, coco, deepfashion2, unity_perception
from finesight.research.datasets.records import ItemSet, LabelledSet


def is_annotated(source: Path) -> bool:
    """Whether a file or folder is one of the formats that `read_dataset` knows."""
    if source.is_file():
        return source.suffix == ".json"
    return (source / "dataset.json").is_file() or unity_perception.is_perception(source)


def read_dataset(source: Path, images: Path | None = None) -> LabelledSet:
    """Read an annotated dataset, whichever of the formats it has.

    source: a folder of `finesight render` or of Unity Perception, or a JSON file of COCO or LVIS;
    images: the folder of the image files, for the latter. Raises InputError or DataError.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist")
    if source.is_file():
        return coco.load(source, images)
    if unity_perception.is_perception(source):
        return unity_perception.load(source)
    return clevr_ds.load(source)


def read_items(source: Path) -> ItemSet:
    """Read shop and user photos of items: DeepFashion2, or what `finesight render identities` drew.

    Raises InputError or DataError.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist")
    if (source / "dataset.json").is_file():
        return clevr_items.load(source)
    return deepfashion2.load(source)
