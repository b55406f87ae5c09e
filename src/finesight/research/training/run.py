"""One run: what every training does around its own learning.

A run checks what it needs, goes on where it was interrupted, validates, stops early, keeps the best
weights, says how far it is, and tells in the bundle's provenance how to make the part again.
"""

from __future__ import annotations

import copy
import math
import pickle
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from glob import escape
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from finesight.errors import DataError, InputError
from finesight.files import atomic
from finesight.models import Model, load_model
from finesight.models.bundle import need_manifest

T = TypeVar("T")

FORMAT = 2
"""Of checkpoints: a run does not go on from those of another one."""


class Learner:
    """What learns, and how it makes one round: a step, or an epoch.

    module: everything that learns; optimizer: over its parameters. Whatever is random in a round
    follows from its number, so that a run that was interrupted goes on as if it had not been.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer

    def train(self, number: int) -> dict[str, float]:
        """Make round `number`, from 0, in training mode; return its losses by name."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """Score the weights as they are, in evaluation mode; the first score, highest, decides."""
        raise NotImplementedError

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next updates."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def descend(self, loss: Tensor, clip: float) -> float:
        """Make one update along a loss's gradient, cut to the norm `clip`; return the loss."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), clip)
        self.optimizer.step()
        return loss.item()


@dataclass(frozen=True)
class Plan:
    """How long something learns.

    rounds: at most; unit: what a round is; validate_every, keep_every: rounds between validations
    (None: never) and between checkpoints; patience: validations without a better one before it
    stops (None: it never does, and its last weights count, not its best); first: whether the
    weights that it begins with are validated too.
    """

    rounds: int
    unit: str = "epoch"
    validate_every: int | None = 1
    keep_every: int = 1
    patience: int | None = None
    first: bool = False

    def due(self, done: int, every: int | None) -> bool:
        """Whether what happens every so many rounds, and at the end, happens now."""
        return every is not None and (done % every == 0 or done == self.rounds)


@dataclass(frozen=True)
class Progress:
    """What is known after `done` rounds of `total`.

    scores: where it was just validated, else empty; losses: by name, of the last round, and where
    it was just validated the means since the last validation; part: what learns, where a run has
    several parts.
    """

    done: int
    total: int
    unit: str
    losses: Mapping[str, float]
    scores: Mapping[str, float]
    part: str = ""

    @property
    def loss(self) -> float:
        """The first of the losses."""
        return next(iter(self.losses.values()), math.nan)

    @property
    def score(self) -> float:
        """The score that decides."""
        return next(iter(self.scores.values()), math.nan)

    def __str__(self) -> str:
        """A line for people: "epoch 3: loss 0.4311  validation 0.2713"."""
        done = f"{self.unit} {self.done}:" if self.done else f"before the first {self.unit}:"
        found = "  ".join(
            f"{name} {value:.4g}" for name, value in [*self.losses.items(), *self.scores.items()]
        )
        return " ".join(filter(None, (self.part, done, found)))


@dataclass
class _State:
    """What a run knows beside its weights; since: validations without a better one."""

    done: int = 0
    since: int = 0
    scores: dict[str, float] = field(default_factory=dict)  # of the weights that count so far
    best: dict[str, Tensor] | None = None
    losses: dict[str, list[float]] = field(default_factory=dict)  # since the last validation

    def validated(self, learner: Learner, patience: float) -> dict[str, float]:
        """Validate, note the scores, and the weights where they are the best and count."""
        learner.module.eval()
        scores = learner.validate()
        self.since += 1
        score, before = (next(iter(each.values()), math.nan) for each in (scores, self.scores))
        if patience == math.inf:
            self.scores, self.since = scores, 0
        elif score > before or math.isnan(before):
            self.scores, self.since = scores, 0
            self.best = copy.deepcopy(learner.module.state_dict())
        return scores


@dataclass(frozen=True)
class Run:
    """One training: where it is kept, whom it tells, and where it computes.

    checkpoint: the file that an interrupted run goes on from; report: called after every round.
    """

    checkpoint: Path | None = None
    report: Callable[[Progress], None] = lambda progress: None
    device: str = "cpu"
    part: str = ""
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def into(cls, out: Path, checkpoint: Path | None = None) -> Run:
        """Return the run of a command that writes the bundle `out`, on the GPU where there is one.

        checkpoint: beside `out` where not given.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(checkpoint or out.with_name(out.name + ".checkpoint"), device=device)

    def of(self, part: str) -> Run:
        """Return the run of one of several parts, which has a checkpoint of its own."""
        kept = self.checkpoint
        return replace(self, part=part, checkpoint=kept and kept.with_name(f"{kept.name}-{part}"))

    def learn(self, learner: Learner, plan: Plan, about: Mapping[str, Any]) -> dict[str, float]:
        """Let something learn, leave the weights that count in it, and return their scores.

        Where the plan never validates, the last round's losses are returned in their place.
        about: what a checkpoint belongs to; a run of other settings is refused. A run that was
        interrupted goes on after its last checkpoint, as if it had never stopped.
        """
        about = {**about, "format": FORMAT}
        module, patience = learner.module, math.inf if plan.patience is None else plan.patience
        state = self._resumed(learner, about)
        if plan.first and not state.done:
            scores = state.validated(learner, patience)
            self.report(Progress(0, plan.rounds, plan.unit, {}, scores, self.part))
        while state.done < plan.rounds and state.since < patience:
            module.train()
            losses, scores = learner.train(state.done), {}
            state.done += 1
            for name, value in losses.items():
                state.losses.setdefault(name, []).append(value)
            if plan.due(state.done, plan.validate_every):
                scores = state.validated(learner, patience)
                losses = {name: sum(each) / len(each) for name, each in state.losses.items()}
                state.losses.clear()
            elif plan.validate_every is None:
                state.scores = losses
            if self.checkpoint is not None and plan.due(state.done, plan.keep_every):
                kept = {"module": module.state_dict(), "state": vars(state)}
                kept["optimizer"] = learner.optimizer.state_dict()
                save_checkpoint(self.checkpoint, about, kept)
            self.report(Progress(state.done, plan.rounds, plan.unit, losses, scores, self.part))
        if state.best is not None:
            module.load_state_dict(state.best)
        module.eval()
        return state.scores

    def _resumed(self, learner: Learner, about: Mapping[str, Any]) -> _State:
        """Take over what an interrupted run of the same settings has learned, if there is one."""
        saved = self.checkpoint and load_checkpoint(self.checkpoint, about)
        if not saved:
            return _State()
        learner.module.load_state_dict(saved["module"])
        learner.optimizer.load_state_dict(saved["optimizer"])
        return _State(**saved["state"])

    def finish(self) -> int:
        """Remove the checkpoints, of the parts too; return how many seconds it took."""
        if self.checkpoint is not None:
            for left in self.checkpoint.parent.glob(escape(self.checkpoint.name) + "*"):
                left.unlink()
        return round(time.monotonic() - self.started)


ALONE = Run()
"""A run that is kept nowhere and tells nobody."""


def save_checkpoint(path: Path, settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write the state and the settings it belongs to; a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as unfinished:
        torch.save({"settings": dict(settings), "state": dict(state)}, unfinished)


def load_checkpoint(path: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state saved at `path`, or None if there is none.

    Raises DataError for a file that is damaged and InputError for one of other settings.
    """
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        state, theirs = saved["state"], saved["settings"]
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} is not a readable checkpoint: delete it to start again") from error
    names = {*settings, *theirs}
    changed = sorted(name for name in names if settings.get(name) != theirs.get(name))
    if changed:
        raise InputError(
            f"{path} is the checkpoint of a run with other settings ({', '.join(changed)}): "
            "repeat that run's command, or delete the file to start again"
        )
    return dict(state)


def shuffled(count: int, batch: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the numbers below `count` in batches of about one size, in an epoch's own order."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return np.array_split(order, math.ceil(count / batch))


def made_ahead(make: Callable[[int], T], numbers: Iterable[int], ahead: int = 1) -> Iterator[T]:
    """Yield what `make` returns for each number, made by a thread that stays a few ahead.

    What it raises is raised here, in its turn.
    """
    with ThreadPoolExecutor(1) as pool:
        futures = (pool.submit(make, number) for number in numbers)
        waiting = deque(islice(futures, ahead))
        try:
            while waiting:
                waiting.extend(islice(futures, 1))
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def warm_cosine(step: int, steps: int, warm_up: int) -> float:
    """Return a learning rate's share of its highest: a linear warm-up, then half a cosine to zero.

    Loshchilov and Hutter 2017, equation 5.
    """
    if step < warm_up:
        return (step + 1) / warm_up
    return (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2


def load_bundle(source: str) -> tuple[Model, Path]:
    """Return the model that a part is trained for, and its folder.

    Raises InputError for a model that is no bundle of finesight.
    """
    model = load_model(source)
    return model, need_manifest(model.directory, source)


def provenance(**facts: Any) -> dict[str, Any]:
    """Return how to make a part again: the command, the facts of it, and the versions.

    Folders stand in it by their names: their paths mean nothing elsewhere.
    """
    words = [Path(word).name if "/" in word or "\\" in word else word for word in sys.argv[1:]]
    versions = {each: version(each) for each in ("torch", "numpy", "pillow")}
    return {"command": shlex.join(["finesight", *words]), **facts, "versions": versions}
