"""Says how far indexing has come, to other processes."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRESS = "progress.json"

_EVERY = 0.5  # seconds between two writes
_STALE = 60.0  # seconds without a write after which a run counts as killed

Advance = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(frozen=True)
class Progress:
    """Images done, of images in all."""

    done: int
    total: int


@contextlib.contextmanager
def shown_progress(directory: Path, progress: Advance) -> Iterator[Advance]:
    """Yield a progress function that also writes to a small file, which goes away at the end.

    Nothing depends on the file: where it cannot be written, nobody sees the progress.
    """
    path = directory / PROGRESS
    written = float("-inf")

    def advance(done: int, total: int) -> None:
        nonlocal written
        progress(done, total)
        if time.monotonic() - written >= _EVERY:
            written = time.monotonic()
            # Replaced, but not synced: it tells of a run that a power cut ends as well.
            with contextlib.suppress(OSError):
                temporary = path.with_suffix(".new")
                temporary.write_text(json.dumps({"done": done, "total": total}), encoding="utf-8")
                temporary.replace(path)

    try:
        yield advance
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def read_progress(directory: Path) -> Progress | None:
    """Return how far a run has come, or None where nobody is indexing into a collection."""
    path = directory / PROGRESS
    try:
        if time.time() - path.stat().st_mtime > _STALE:
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        return Progress(int(found["done"]), int(found["total"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
