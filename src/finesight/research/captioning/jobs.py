"""What is to be captioned: the images of a dataset or a folder, or the items in them."""

from dataclasses import dataclass
from pathlib import Path

from finesight.errors import InputError
from finesight.indexing.walking import find_images
from finesight.research.captioning.journal import Key
from finesight.research.datasets import deepfashion2, is_annotated, read_dataset, read_items
from finesight.research.datasets.item_captions import described
from finesight.types import Box


@dataclass(frozen=True)
class Job:
    """An image to describe: its file, its name in the file of captions, and the part meant."""

    path: Path
    name: str
    box: Box | None = None

    @property
    def key(self) -> Key:
        """What its line is known by."""
        return self.name, self.box


def find_jobs(
    dataset: Path, images: Path | None = None, of_items: bool = False
) -> tuple[list[Job], tuple[str, ...]]:
    """Return what to caption in a dataset or a folder, and what was left out and why.

    images: the folder of the images that a JSON file names; of_items: caption each annotated item,
    not the image as a whole. Raises InputError where there is no such dataset, or no items in it.
    """
    if not dataset.exists():
        raise InputError(f"{dataset} does not exist")
    if deepfashion2.is_deepfashion2(dataset):
        read = read_items(dataset)
        jobs = [
            Job(photo.path, read.relative(photo), box)
            for photo in read.photos
            for box in ([thing.box for thing in described(photo)] if of_items else [None])
        ]
        return jobs, read.problems
    if of_items:
        raise InputError(f"{dataset} has no annotated items: leave --items out")
    if is_annotated(dataset):
        paths = [image.path for image in read_dataset(dataset, images).images]
    else:
        paths = [found.path for found in find_images([dataset]).images]
    root = images or (dataset if dataset.is_dir() else dataset.parent)
    return [Job(path, _below(path, root)) for path in paths], ()


def _below(path: Path, root: Path) -> str:
    """Return the name of a file below a folder; elsewhere, with its own folder."""
    for known in (root, root.absolute(), root.resolve()):
        if path.is_relative_to(known):
            return path.relative_to(known).as_posix()
    return f"{path.parent.name}/{path.name}"
