"""One writer at a time: a second is told so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from finesight.errors import InputError


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Hold the right to write into a collection; raises InputError where another run has it."""
    try:
        with filelock.FileLock(directory / ".lock", timeout=0):
            yield
    except filelock.Timeout as error:
        raise InputError(
            f"another run is writing into {directory}: wait until it has ended"
        ) from error
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror or error}") from error
