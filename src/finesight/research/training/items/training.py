"""Trains the embedding of items, on a frozen vision tower or with it, with any of its losses."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from finesight.research.networks.items import ItemNetwork
from finesight.research.training.items import losses
from finesight.research.training.items.examples import (
    OF_PAIRS,
    OF_WORDS,
    Captions,
    ItemRecipe,
    Learned,
)
from finesight.research.training.items.towers import EncodedViews, Tower
from finesight.research.training.run import ALONE, Learner, Plan, Run, warm_cosine
from finesight.types import Float32, UInt8

MOST_CAPTIONS = 1000
"""Captions that an item embedding may tell apart; of more, none: they are no list of kinds."""


Held = tuple[UInt8, Callable[[Float32], float]]
"""Crops (n, side, side, 3) to validate on; the score of their items (n, d), higher is better."""


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
        spoken = learner.validate()["validation mAP"]
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
        self.crops, self.score = held
        self.frozen = tower.regions(self.crops) if tower.module is None else None
        self.arcface = losses.ArcFace(network.settings.width, max(1, learned.count))
        self.arcface.weight.data = self._prototypes()
        self.module = nn.ModuleDict({"network": network, "arcface": self.arcface})
        trained = list(network.text.parameters())
        if tower.module is not None:
            self.module["tower"] = tower.module
            trained += list(tower.module.parameters())
        old = {id(each) for each in trained}
        fresh = [each for each in self.module.parameters() if id(each) not in old]
        rates = ((fresh, recipe.rate), (trained, recipe.tower_rate))
        groups = [{"params": some, "lr": rate, "highest": rate} for some, rate in rates]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)

    @torch.no_grad()
    def _prototypes(self) -> Tensor:
        """Begin ArcFace's weights as the means of what the tower sees of each identity."""
        labelled = np.flatnonzero(self.learned.identities >= 0)
        weights = torch.zeros(max(1, self.learned.count), self.network.settings.width)
        for part in np.array_split(labelled, max(1, len(labelled) // 256)):
            views = self.tower.encode(part, 0, self.recipe.seed)
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
        views = self.tower.encode(numbers, number + 1, recipe.seed)
        generator = torch.Generator().manual_seed(100_000 * recipe.seed + number)
        found = self.losses(numbers, views, generator)
        total = torch.stack([recipe.losses[name] * loss for name, loss in found.items()]).sum()
        self.descend(total, 5.0)
        return {name: loss.item() for name, loss in found.items()}

    def losses(
        self, numbers: np.ndarray, views: EncodedViews, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the losses that the recipe asks for, of views of some examples (b,) by number.

        generator: decides which pairs, negatives and hidden words there are.
        """
        network, recipe, learned = self.network, self.recipe, self.learned
        found: dict[str, Tensor] = {}
        items = network.head(views.regions)
        identities = torch.from_numpy(learned.identities[numbers])
        labelled = identities >= 0
        if "arcface" in recipe.losses and bool(labelled.any()):
            found["arcface"] = self.arcface(items[labelled], identities[labelled])
        captioned = torch.from_numpy(np.flatnonzero(learned.captioned[numbers]))
        if not recipe.needs(OF_WORDS) or len(captioned) < 2:
            return found
        captions = learned.captions.rows(torch.from_numpy(numbers)[captioned])
        texts = network.texts(captions.ids, captions.mask)
        scores = network.scale() * items[captioned] @ texts.T
        if "itc" in recipe.losses:
            found["itc"] = losses.itc(scores, captions.groups)
        if recipe.needs(OF_PAIRS):
            few = torch.randperm(len(captioned), generator=generator)[: recipe.pairs]
            pairs = views.rows(captioned[few]), captions.rows(few), scores[few][:, few]
            found |= self._of_pairs(*pairs, generator)
        return found

    def _of_pairs(
        self, views: EncodedViews, captions: Captions, scores: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the losses of the cross-modal encoder, view i beside caption i."""
        network, asked, learned = self.network, self.recipe.losses, self.learned
        found: dict[str, Tensor] = {}
        ids, mask, groups = captions.ids, captions.mask, captions.groups
        parts = network.parts(views.features, network.head(views.whole))
        states = network.text.states(ids, mask)
        seen = network.cross(states, mask, parts)
        if "itm" in asked:  # each object with another's caption, and the reverse
            texts, images = (
                losses.hard_negatives(each, groups, generator) for each in (scores, scores.T)
            )
            there, own = texts >= 0, torch.arange(len(scores))
            texts = torch.cat([texts[there], own[there]])
            images = torch.cat([own[there], images[there]])
            others = network.cross(states[texts], mask[texts], parts[images])
            found["itm"] = losses.itm(network.match(seen), network.match(others))
        if "box" in asked and bool(views.loose.any()):
            x0, y0, x1, y1 = views.boxes[views.loose].T
            wanted = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=1)
            found["box"] = losses.box_loss(network.find(seen[views.loose]), wanted)
        if "mlm" in asked:
            fixed = torch.isin(ids, learned.fixed)
            shown, hidden = losses.mask_words(ids, fixed, learned.hidden_id, generator)
            blanks = network.cross(network.text.states(shown, mask), mask, parts)
            found["mlm"] = losses.mlm(network.word(blanks), ids, hidden)
        return found

    def validate(self) -> dict[str, float]:
        """Score the embeddings of the photos to validate on, by network and tower as they are."""
        regions = self.tower.regions(self.crops) if self.frozen is None else self.frozen
        with torch.inference_mode():
            return {"validation mAP": self.score(self.network.head(regions).numpy())}
