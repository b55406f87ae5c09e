"""The loop around every training that validates: it keeps the best, stops in time and goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor

from finesight.research.training.checkpoints import load_checkpoint, save_checkpoint

Loss = TypeVar("Loss")


class Run(Protocol):
    """What is trained: its weights, and all that a round needs to be the same after a restart."""

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of what learns."""

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take weights over."""

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to go on after a round."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""


def train_rounds(
    run: Run,
    train: Callable[[int], Loss],
    validate: Callable[[], float],
    rounds: int,
    patience: int,
    *,
    settings: dict[str, Any],
    checkpoint: Path | None,
    report: Callable[[int, Loss | None, float], None],
    begin: bool,
) -> float:
    """Train round after round, leave the weights of the best validation, and return its score.

    train: trains one round, numbered from 0, and returns its loss; validate: scores the weights as
    they are, higher is better; patience: rounds without a better one before it stops; settings:
    what a checkpoint belongs to; report: is told rounds done, loss and score; begin: whether what
    training begins with is validated too, and may be the best. A run that was interrupted goes on
    after its last whole round, as if it had never stopped.
    """
    best_score, best, since, start = -math.inf, run.weights(), 0, 0
    if checkpoint is not None and (state := load_checkpoint(checkpoint, settings)) is not None:
        run.restore(state["run"])
        best_score, best, since, start = (
            state[key] for key in ("best_score", "best", "since", "round")
        )
    elif begin:
        best_score = validate()
        report(0, None, best_score)
    for number in range(start, rounds):
        if since >= patience:
            break
        loss = train(number)
        score = validate()
        since += 1
        if score > best_score:
            best_score, best, since = score, run.weights(), 0
        if checkpoint is not None:
            kept = {"round": number + 1, "best": best, "best_score": best_score, "since": since}
            save_checkpoint(checkpoint, settings, {"run": run.state(), **kept})
        report(number + 1, loss, score)
    run.load(best)
    return best_score
