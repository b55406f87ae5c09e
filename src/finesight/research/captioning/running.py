"""Captions many images by dialogue, some at a time, and keeps what is finished."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from finesight.boxes import square_around
from finesight.errors import ServiceError
from finesight.images.open import ImageError, read_image
from finesight.research.captioning.budget import BudgetSpentError
from finesight.research.captioning.dialogue import Dialogue
from finesight.research.captioning.jobs import Job
from finesight.research.captioning.journal import Journal
from finesight.research.captioning.speaker import NonsenseError
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
    run = _Run(left, dialogue, journal)
    outcomes = run.outcomes(at_once)
    try:
        for _ in left:
            outcome = outcomes.get()
            if isinstance(outcome, BudgetSpentError):
                return Report(described, known, tuple(failed), str(outcome))
            kept = (
                f"{len(journal.done)} captions are in {journal.path}, and the same command goes on"
            )
            if isinstance(outcome, NonsenseError | ImageError):
                failed.append(str(outcome))
                row = row + 1 if isinstance(outcome, NonsenseError) else row
                if row >= IN_A_ROW:
                    raise ServiceError(
                        f"{outcome}, of {row} images in a row: try another model, or look at what "
                        f"it says; {kept}"
                    )
            elif isinstance(outcome, ServiceError):
                raise ServiceError(f"{outcome}; {kept}") from outcome
            elif outcome is not None:
                raise outcome
            else:
                described, row = described + 1, 0
                progress(known + described)
    finally:
        run.stop()
    return Report(described, known, tuple(failed), None)


class _Run:
    """Threads that describe images until they are stopped.

    They are daemons: an interrupted program does not wait for an answer that is under way.
    """

    def __init__(self, jobs: Sequence[Job], dialogue: Dialogue, journal: Journal) -> None:
        self._dialogue = dialogue
        self._journal = journal
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            self._jobs.put(job)
        self._outcomes: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._stop = dialogue.asker.stop

    def outcomes(self, at_once: int) -> "queue.SimpleQueue[Exception | None]":
        """Start, and return the queue of each job's end: None, or why it has no caption."""
        for number in range(max(1, at_once)):
            threading.Thread(target=self._work, daemon=True, name=f"caption-{number}").start()
        return self._outcomes

    def stop(self) -> None:
        """Let nothing more be asked."""
        self._stop.set()
        self._dialogue.answerer.stop.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            self._outcomes.put(self._describe(job))

    def _describe(self, job: Job) -> Exception | None:
        try:
            image = read_image(job.path)
            if job.box is not None:
                image = part_of(image, job.box)
            caption, turns = self._dialogue.describe(
                image, self._journal.turns(job.key), lambda turn: self._journal.heard(job.key, turn)
            )
            self._journal.finished(job.key, [caption], turns)
        except ImageError as error:
            return ImageError(f"{job.path}: {error}")
        except NonsenseError as error:
            return NonsenseError(f"{job.path}: {error}")
        except Exception as error:  # raised where the outcomes are read
            return error
        return None


def part_of(image: Image.Image, box: Box) -> Image.Image:
    """Return the square around a box (normalised xyxy), with a little of what is beside it."""
    x0, y0, x1, y1 = square_around(box, *image.size)
    width, height = image.size
    left, top = int(x0 * width), int(y0 * height)
    return image.crop(
        (left, top, max(left + 1, round(x1 * width)), max(top + 1, round(y1 * height)))
    )
