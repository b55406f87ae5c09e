"""Captions many images by dialogue, some at a time, and keeps what is finished.

They are the images of a dataset or a folder, or the items in them.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from finesight.boxes import square_around
from finesight.errors import InputError, ServiceError
from finesight.images.open import ImageError, read_image
from finesight.indexing.walking import find_images
from finesight.research.captioning.dialogue import Dialogue
from finesight.research.captioning.journal import Journal, Key
from finesight.research.captioning.speaker import BudgetSpentError, NonsenseError
from finesight.research.datasets import deepfashion2, is_annotated, read_dataset, read_items
from finesight.research.datasets.item_captions import described
from finesight.types import Box

IN_A_ROW = 3
"""So many images in succession of which a model makes no sense end a run."""


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


@dataclass(frozen=True)
class Report:
    """What a run did: images described, those that were before, and what was left out and why.

    stopped: why it ended before all were done, None where it did not.
    """

    described: int
    known: int
    failed: tuple[str, ...]
    stopped: str | None


def describe_all(
    jobs: Sequence[Job],
    dialogue: Dialogue,
    journal: Journal,
    at_once: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Describe the images that the journal lacks; at_once: how many at a time.

    progress: called with the number of finished images. Raises ServiceError where an endpoint
    fails for good, or makes no sense of several images in a row; what was finished is kept.
    """
    left = [job for job in jobs if job.key not in journal.done]
    known, described, row = len(jobs) - len(left), 0, 0
    failed: list[str] = []
    progress(known)
    outcomes = _start(left, dialogue, journal, at_once)
    try:
        for _ in left:
            outcome = outcomes.get()
            kept = (
                f"{len(journal.done)} captions are in {journal.path}, and the same command goes on"
            )
            match outcome:
                case None:
                    described, row = described + 1, 0
                    progress(known + described)
                case BudgetSpentError():
                    return Report(described, known, tuple(failed), str(outcome))
                case NonsenseError() | ImageError():
                    failed.append(str(outcome))
                    row += isinstance(outcome, NonsenseError)
                    if row >= IN_A_ROW:
                        raise ServiceError(
                            f"{outcome}, of {row} images in a row: try another model, or look at "
                            f"what it says; {kept}"
                        )
                case ServiceError():
                    raise ServiceError(f"{outcome}; {kept}") from outcome
                case _:
                    raise outcome
    finally:
        dialogue.asker.stop.set()
        dialogue.answerer.stop.set()
    return Report(described, known, tuple(failed), None)


def _start(
    jobs: Sequence[Job], dialogue: Dialogue, journal: Journal, at_once: int
) -> "queue.SimpleQueue[Exception | None]":
    """Describe images in threads; return the queue of each one's end: None, or why it failed.

    The threads are daemons: an interrupted program does not wait for an answer that is under way.
    """
    waiting, lock, stop = iter(jobs), threading.Lock(), dialogue.asker.stop
    outcomes: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def work() -> None:
        while not stop.is_set():
            with lock:
                job = next(waiting, None)
            if job is None:
                return
            outcomes.put(_describe(job, dialogue, journal))

    for number in range(max(1, at_once)):
        threading.Thread(target=work, daemon=True, name=f"caption-{number}").start()
    return outcomes


def _describe(job: Job, dialogue: Dialogue, journal: Journal) -> Exception | None:
    """Write the caption of an image, or return why it has none."""
    try:
        image = read_image(job.path)
        if job.box is not None:
            image = part_of(image, job.box)
        heard = partial(journal.heard, job.key)
        caption, turns = dialogue.describe(image, journal.turns(job.key), heard)
        journal.finished(job.key, [caption], turns)
    except (ImageError, NonsenseError) as error:
        return type(error)(f"{job.path}: {error}")
    except Exception as error:  # raised where the outcomes are read
        return error
    return None


def part_of(image: Image.Image, box: Box) -> Image.Image:
    """Return the square around a box (normalised xyxy), with a little of what is beside it."""
    x0, y0, x1, y1 = np.array(square_around(box, *image.size)) * (image.size * 2)
    left, top = int(x0), int(y0)
    return image.crop((left, top, max(left + 1, round(x1)), max(top + 1, round(y1))))
