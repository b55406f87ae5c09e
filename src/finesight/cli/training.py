"""What the commands of `finesight train` share: options, checks, progress and results.

The commands are functions of many parameters, as Typer makes an option of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from finesight.cli.options import option
from finesight.cli.output import progress_bar, say, show
from finesight.errors import need
from finesight.files import need_new

if TYPE_CHECKING:
    from finesight.research.training.run import Progress, Run

OutOption = Annotated[Path, option("The folder for the new bundle.")]
SeedOption = Annotated[
    int, option("Decides the order, whatever is drawn, and the first weights.", min=0)
]
EpochsOption = Annotated[int, option("Times through all images.", min=1)]


def begin(out: Path, *, new: bool = True, checkpoint: Path | None = None) -> Run:
    """Check what every training needs, and return the run that writes the bundle `out`.

    new: whether nothing may be in that place yet; checkpoint: where an interrupted run is kept,
    beside `out` where not given. Raises MissingDependencyError without PyTorch, and InputError.
    """
    need("torch", "training needs PyTorch", "torch")
    from finesight.research.training.run import Run

    if new:
        need_new(out)
    return Run.into(out, checkpoint)


@contextmanager
def shown(run: Run, unit: str = "epochs") -> Iterator[Run]:
    """Give a run a bar on stderr, and a line for each epoch and each validation."""
    with progress_bar("training", unit) as advance:

        def report(step: Progress) -> None:
            advance(step.done, step.total)
            if step.scores or step.unit == "epoch":
                say(str(step))

        yield replace(run, report=report)


def finish(run: Run, result: dict[str, Any], said: str, as_json: bool) -> None:
    """Remove the checkpoints and print the result: as JSON, or in words.

    result: where the bundle is, first; said: follows on that and the seconds.
    """
    (key, out), *others = result.items()
    result = {key: str(out), "seconds": run.finish(), **dict(others)}
    show(result, [f"{out}: {said.format(seconds=result['seconds'])}"], as_json)
