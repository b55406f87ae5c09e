"""Trains the embedding of items, on a frozen vision tower or with it, with any of its losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from finesight.research.networks.items import ItemNetwork
from finesight.research.training.items.learned import Learned
from finesight.research.training.items.losses import ArcFace
from finesight.research.training.items.recipe import OF_PAIRS, ItemRecipe
from finesight.research.training.items.step import StepLosses
from finesight.research.training.items.towers import Tower
from finesight.research.training.run import ALONE, Learner, Plan, Run, warm_cosine
from finesight.types import Float32, UInt8

MOST_CAPTIONS = 1000
"""Captions that an item embedding may tell apart; of more, none: they are no list of kinds."""


@dataclass(frozen=True)
class Held:
    """Crops (n, side, side, 3) to validate on; score: of their items (n, d), higher is better."""

    crops: UInt8
    score: Callable[[Float32], float]


def train_items(
    network: ItemNetwork,
    tower: Tower,
    learned: Learned,
    held: Held,
    recipe: ItemRecipe,
    run: Run = ALONE,
    about: Mapping[str, Any] | None = None,
) -> float:
    """Train network and, where it learns, tower; leave the best validation's weights in them.

    Where captions are learned by ITC, what they say becomes part of the item embeddings if that
    validates better. Returns the best validation's score. about: what else a checkpoint belongs to.
    """
    learner = _ItemLearner(network, tower, learned, held, recipe)
    every = recipe.validate_every
    plan = Plan(recipe.steps, "step", every, every, recipe.patience, first=True)
    about = asdict(recipe) | {"examples": len(learned.identities)} | dict(about or {})
    best = run.learn(learner, plan, about)["validation mAP"]
    captions = learned.distinct()
    if "itc" in recipe.losses and 0 < len(captions.ids) <= MOST_CAPTIONS:
        with torch.no_grad():
            network.head.captions = network.texts(captions.ids, captions.mask)
        spoken = learner.score()
        if spoken > best:
            return spoken
        network.head.captions = None
    return best


class _ItemLearner(Learner):
    """Network and tower, what they learn from, and a single step."""

    module: nn.ModuleDict

    def __init__(
        self, network: ItemNetwork, tower: Tower, learned: Learned, held: Held, recipe: ItemRecipe
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.network, self.tower, self.learned, self.recipe = network, tower, learned, recipe
        self.held = held
        self.frozen = tower.regions(held.crops) if tower.module is None else None
        self.arcface = ArcFace(network.settings.width, max(1, learned.count))
        self.arcface.weight.data = self._prototypes()
        self.module = nn.ModuleDict({"network": network, "arcface": self.arcface})
        trained = list(network.text.parameters())
        if tower.module is not None:
            self.module["tower"] = tower.module
            trained += list(tower.module.parameters())
        old = {id(each) for each in trained}
        fresh = [each for each in self.module.parameters() if id(each) not in old]
        groups = [
            {"params": fresh, "lr": recipe.rate, "highest": recipe.rate},
            {"params": trained, "lr": recipe.tower_rate, "highest": recipe.tower_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)

    @torch.no_grad()
    def _prototypes(self) -> Tensor:
        """Begin ArcFace's weights as the means of what the tower sees of each identity."""
        labelled = np.flatnonzero(self.learned.identities >= 0)
        weights = torch.zeros(max(1, self.learned.count), self.network.settings.width)
        for part in np.array_split(labelled, max(1, len(labelled) // 256)):
            views = self.tower.encode(part, 0, self.recipe.seed, False)
            owners = torch.from_numpy(self.learned.identities[part])
            weights.index_add_(0, owners, self.network.head(views.regions))
        return nn.functional.normalize(weights, dim=1)

    def train(self, number: int) -> dict[str, float]:
        """Make one update; return the losses, by name."""
        recipe = self.recipe
        share = warm_cosine(number, recipe.steps, recipe.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * share
        numbers = self.learned.batch(recipe, number)
        views = self.tower.encode(numbers, number + 1, recipe.seed, recipe.needs(OF_PAIRS))
        generator = torch.Generator().manual_seed(100_000 * recipe.seed + number)
        losses = StepLosses(self.network, self.arcface, recipe, generator)
        found = losses(views, self.learned.rows(numbers))
        total = torch.stack([recipe.losses[name] * loss for name, loss in found.items()]).sum()
        self.descend(total, 5.0)
        return {name: loss.item() for name, loss in found.items()}

    def validate(self) -> dict[str, float]:
        """Score the embeddings of the photos to validate on."""
        return {"validation mAP": self.score()}

    def score(self) -> float:
        """Score the embeddings of the photos to validate on, by network and tower as they are."""
        regions = self.tower.regions(self.held.crops) if self.frozen is None else self.frozen
        with torch.inference_mode():
            return self.held.score(self.network.head(regions).numpy())
