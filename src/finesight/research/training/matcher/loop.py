"""The loop that trains whatever scores images with captions, and the papers' settings for it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from finesight.research.training.matcher.losses import (
    contrastive,
    free_pairs,
    hardest_share,
    triplet,
)
from finesight.research.training.matcher.pairs import CaptionPairs
from finesight.research.training.run import train_rounds

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
}
"""By the names that papers use."""


@dataclass(frozen=True)
class Recipe:
    """How a model of image–caption pairs is trained.

    loss: "contrastive", "hardest" (the hardest negative's violation) or "adapt" (from the sum of
    all to the hardest); warm_up: steps over which the rate goes from `begin` to `peak` times
    `rate`; drop: what it is multiplied with after `drop_after` of all steps; clip: the gradient's
    largest norm; patience: validations without a better one before it stops.
    """

    epochs: int = 30
    batch: int = 128
    optimizer: str = "adam"
    rate: float = 2e-4
    loss: str = "hardest"
    margin: float = 0.2
    warm_up: int = 0
    begin: float = 1.0
    peak: float = 1.0
    drop: float = 0.1
    drop_after: float = 0.5
    clip: float = 2.0
    patience: int = 8
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step of `steps`."""
        share = min(1.0, step / self.warm_up) if self.warm_up else 1.0
        rate = self.rate * (self.begin + (self.peak - self.begin) * share)
        return rate * (self.drop if step >= self.drop_after * steps else 1.0)


SCAN = Recipe()
"""SCAN's: Adam 2e-4 (5e-4 on COCO), a tenth of it in the second half."""

SGRAF = Recipe(loss="adapt")
"""SGRAF's is SCAN's; the loss begins as ours with all negatives, as with the hardest alone it did
not begin to learn from a few thousand pairs (docs/log.md)."""

ADAPT = Recipe(
    optimizer="adamax", rate=1e-3, loss="adapt", warm_up=4000, begin=0.5, peak=2.0, drop=0.25
)
"""ADAPT's (METHODS.md 3); when its rate drops is our reading."""

PROBE = Recipe(optimizer="adamw", rate=1e-3, loss="contrastive", clip=1.0, patience=10)
"""Of region fusion and the linear probe; the poster gives none."""


class PairModel(Protocol):
    """What the loop needs: a module, and the scores of some images with some captions."""

    @property
    def module(self) -> nn.Module:
        """What is trained."""

    def scores(self, images: list[int], captions: list[int]) -> Tensor:
        """Return scores (b, t), as the loss wants them."""


@dataclass(frozen=True)
class PairProgress:
    """What is known after an epoch; score: of the validation, higher is better."""

    epoch: int
    loss: float
    score: float


def train_pairs(
    model: PairModel,
    pairs: CaptionPairs,
    recipe: Recipe,
    validate: Callable[[], float],
    *,
    about: dict[str, Any] | None = None,
    checkpoint: Path | None = None,
    report: Callable[[PairProgress], None] = lambda progress: None,
) -> float:
    """Train, leave the weights of the best validation in the model, and return its score.

    validate: scores the model as it is; about: what else a checkpoint belongs to. A run that was
    interrupted goes on after the last whole epoch, as if it had never stopped.
    """
    run = _Run(model, pairs, recipe)

    def validated() -> float:
        model.module.eval()
        return validate()

    def told(epochs: int, loss: float | None, score: float) -> None:
        report(PairProgress(epochs, math.nan if loss is None else loss, score))

    best_score = train_rounds(
        run,
        run.epoch,
        validated,
        recipe.epochs,
        recipe.patience,
        settings=asdict(recipe) | {"captions": len(pairs)} | (about or {}),
        checkpoint=checkpoint,
        report=told,
        begin=False,
    )
    model.module.eval()
    return best_score


class _Run:
    """The parts of one training run and its single epoch."""

    def __init__(self, model: PairModel, pairs: CaptionPairs, recipe: Recipe) -> None:
        self.model, self.pairs, self.recipe = model, pairs, recipe
        learns = [each for each in model.module.parameters() if each.requires_grad]
        make = OPTIMIZERS[recipe.optimizer]
        self.optimizer = make(learns, lr=recipe.rate)  # type: ignore[call-arg]

    def epoch(self, epoch: int) -> float:
        """Go once through all captions in an order that follows from seed and epoch."""
        model, pairs, recipe = self.model, self.pairs, self.recipe
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(pairs))
        torch.manual_seed(1000 * recipe.seed + epoch)  # of the dropout
        batches = np.array_split(order, math.ceil(len(order) / recipe.batch))
        model.module.train()
        total = 0.0
        for place, captions in enumerate(batches):
            step = epoch * len(batches) + place
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.rate_at(step, recipe.epochs * len(batches))
            scores = model.scores(pairs.owner[captions].tolist(), captions.tolist())
            images, texts = (torch.from_numpy(of[captions]) for of in (pairs.owner, pairs.wording))
            free = free_pairs(images, texts).to(scores.device)
            loss = _loss(scores, free, recipe, step)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.module.parameters(), recipe.clip)
            self.optimizer.step()
            total += loss.item()
        return total / len(batches)

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the module's parameters."""
        return copy.deepcopy(self.model.module.state_dict())

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take parameters over."""
        self.model.module.load_state_dict(weights)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {"network": self.weights(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        self.load(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def _loss(scores: Tensor, free: Tensor, recipe: Recipe, step: int) -> Tensor:
    if recipe.loss == "contrastive":
        return contrastive(scores, free)
    share = hardest_share(step) if recipe.loss == "adapt" else 1.0
    return triplet(scores, free, share, recipe.margin)
