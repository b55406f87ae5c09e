"""Captions many images by dialogue, some at a time, and keeps what is finished."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from finesight.boxes import square_around
from finesight.errors import ServiceError
from finesight.images.open import ImageError, read_image
from finesight.research.captioning.dialogue import Dialogue
from finesight.research.captioning.jobs import Job
from finesight.research.captioning.journal import Journal
from finesight.research.captioning.speaker import BudgetSpentError, NonsenseError
from finesight.types import Box

IN_A_ROW = 3
"""So many images in succession of which a model makes no sense end a run."""


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
