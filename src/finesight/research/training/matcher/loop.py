"""The loop that trains whatever scores images with captions: its losses, the papers' settings.

Of the losses: caption i is of image i, scores s (b, b); `free` (b, b) says which pairs may serve as
negatives: not those of one image or with one wording, as these are true as well (free_pairs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.metrics import caption_recalls
from finesight.research.training.encoder.losses import multi_positive_info_nce
from finesight.research.training.matcher.pairs import CaptionPairs
from finesight.research.training.run import Learner, Plan, Run, shuffled

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


RECIPES: dict[str, Recipe] = {
    "scan-t2i": SCAN,
    "scan-i2t": SCAN,
    "adapt-t2i": ADAPT,
    "adapt-i2t": ADAPT,
    "sgr": SGRAF,
    "saf": SGRAF,
}
"""How the papers train each kind."""


class PairModel:
    """A module that scores images with captions, beside the pairs that it scores."""

    module: nn.Module
    pairs: CaptionPairs

    def scores(self, images: list[int], captions: list[int]) -> Tensor:
        """Return the scores (b, t) of some images with some captions, as the loss wants them."""
        raise NotImplementedError

    def all_scores(self) -> np.ndarray:
        """Return the scores (n, t) of all images with all captions."""
        raise NotImplementedError

    def rsum(self) -> float:
        """Return the sum of the six recalls, in percent."""
        return caption_recalls(self.all_scores(), self.pairs.owner).rsum


def train_pairs(
    model: PairModel, held: PairModel, recipe: Recipe, run: Run, about: Mapping[str, Any]
) -> float:
    """Train, leave the weights of the best validation in the model, and return its rsum.

    held: the same module beside the pairs to validate on; about: what else a checkpoint belongs to.
    """
    about = asdict(recipe) | {"captions": len(model.pairs), **about}
    plan = Plan(recipe.epochs, patience=recipe.patience)
    return run.learn(_PairLearner(model, held, recipe), plan, about)["validation rsum"]


class _PairLearner(Learner):
    """A model of pairs and a single epoch."""

    def __init__(self, model: PairModel, held: PairModel, recipe: Recipe) -> None:
        self.model, self.held, self.recipe = model, held, recipe
        self.module = model.module
        learns = [each for each in self.module.parameters() if each.requires_grad]
        make = OPTIMIZERS[recipe.optimizer]
        self.optimizer = make(learns, lr=recipe.rate)  # type: ignore[call-arg]

    def validate(self) -> dict[str, float]:
        """Score the model as it is."""
        return {"validation rsum": self.held.rsum()}

    def train(self, number: int) -> dict[str, float]:
        """Go once through all captions in an order that follows from seed and epoch."""
        pairs, recipe = self.model.pairs, self.recipe
        torch.manual_seed(1000 * recipe.seed + number)  # of the dropout
        batches = shuffled(len(pairs), recipe.batch, recipe.seed, number)
        total = 0.0
        for place, captions in enumerate(batches):
            step = number * len(batches) + place
            self.set_rate(recipe.rate_at(step, recipe.epochs * len(batches)))
            scores = self.model.scores(pairs.owner[captions].tolist(), captions.tolist())
            images, texts = (torch.from_numpy(of[captions]) for of in (pairs.owner, pairs.wording))
            free = free_pairs(images, texts).to(scores.device)
            total += self.descend(_loss(scores, free, recipe, step), recipe.clip)
        return {"loss": total / len(batches)}


def _loss(scores: Tensor, free: Tensor, recipe: Recipe, step: int) -> Tensor:
    if recipe.loss == "contrastive":
        return contrastive(scores, free)
    share = hardest_share(step) if recipe.loss == "adapt" else 1.0
    return triplet(scores, free, share, recipe.margin)


def free_pairs(images: Tensor, texts: Tensor) -> Tensor:
    """Return which pairs (b, b) share neither image nor wording, by the numbers (b,) of each."""
    return (images[:, None] != images[None]) & (texts[:, None] != texts[None])


def contrastive(scores: Tensor, free: Tensor) -> Tensor:
    """InfoNCE in both directions over scaled cosines; pairs that are not free count as true."""
    return multi_positive_info_nce(scores, (~free).long())


def triplet(scores: Tensor, free: Tensor, hardest: float = 1.0, margin: float = 0.2) -> Tensor:
    """Hinge violations of both directions, the mean over the batch (METHODS.md 3 and 4).

        (1 − τ) Σ_negatives [α − s⁺ + s⁻]₊ + τ max over negatives [α − s⁺ + s⁻]₊

    hardest: τ. With 1 it is the hardest-negative loss of VSE++ (Faghri et al. 2018, eq. 6) that
    SCAN and SGRAF use, with 0 the sum; ADAPT goes from the one to the other (`hardest_share`).
    """
    right = scores.diagonal()
    total = scores.new_zeros(())
    for found in (scores, scores.T):
        costs = F.relu(margin - right[:, None] + found) * free
        total = total + (1 - hardest) * costs.sum(dim=1) + hardest * costs.amax(dim=1)
    return total.mean()


def hardest_share(iteration: int, eta: float = 0.991) -> float:
    """ADAPT's τ = 1 − η^iteration: all negatives at first, soon only the hardest."""
    return 1 - eta**iteration
