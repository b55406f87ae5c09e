"""Trains the embedding of items, on a frozen vision tower or with it, with any of its losses."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from finesight.errors import InputError
from finesight.research.networks.items import ItemNetwork
from finesight.research.training.items.examples import Example, numbered
from finesight.research.training.items.losses import (
    ArcFace,
    box_loss,
    hard_negatives,
    itc,
    itm,
    mask_words,
    mlm,
)
from finesight.research.training.items.towers import Looked, Tower
from finesight.research.training.matcher.training import tokens
from finesight.research.training.run import train_rounds
from finesight.research.training.vocabulary import BEGIN, END, PAD, UNKNOWN
from finesight.types import Float32, UInt8

LOSSES = ("arcface", "itc", "itm", "box", "mlm")
"""The losses by name."""

OF_WORDS = ("itc", "itm", "box", "mlm")
"""Those that need captions."""

MOST_SAID = 1000
"""Captions that an item embedding may tell apart; of more, none: they are no list of kinds."""

OF_PAIRS = ("itm", "box", "mlm")
"""Those that need the cross-modal encoder, and so the tower's feature maps."""


@dataclass(frozen=True)
class ItemRecipe:
    """What decides a run besides its data.

    losses: their weights, by name; rate, tower_rate: the highest learning rates of what begins
    from nothing, and of towers that were trained before; untold: the share of a batch whose things
    have a caption and no identity, where there are such; pairs: how many things of a batch the
    cross-modal encoder sees, at most, as it costs more than all else; patience: validations without
    a better one before it stops.
    """

    losses: Mapping[str, float] = field(default_factory=lambda: {"arcface": 1.0})
    steps: int = 300
    batch: int = 192
    rate: float = 1e-3
    tower_rate: float = 5e-4
    warm_up: int = 20
    weight_decay: float = 0.02
    untold: float = 0.25
    pairs: int = 64
    validate_every: int = 30
    patience: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for losses that there are not, or none."""
        unknown = sorted(set(self.losses) - set(LOSSES))
        if unknown or not self.losses:
            raise InputError(
                f"unknown losses {', '.join(unknown) or '(none)'}: use some of {', '.join(LOSSES)}"
            )

    def needs(self, names: Sequence[str]) -> bool:
        """Whether any of some losses is asked for."""
        return any(name in self.losses for name in names)

    def share_at(self, step: int) -> float:
        """The learning rate's share of its highest: a warm-up, then half a cosine."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class ItemProgress:
    """What is known after a validation; losses: their means since the last one, by name."""

    step: int
    losses: Mapping[str, float]
    score: float


class Words:
    """Captions as tokens (n, l), with groups (n,) that are equal for equal captions.

    there: (n,), which examples have a caption at all.
    """

    def __init__(self, captions: Sequence[str | None], tokenizer: Tokenizer) -> None:
        self.ids, self.mask = tokens(tokenizer, [each or "" for each in captions])
        known = {each: number for number, each in enumerate(dict.fromkeys(captions))}
        self.groups = torch.tensor([known[each] for each in captions])
        self.there = np.array([each is not None for each in captions], bool)
        self.hidden_id: int = tokenizer.get_vocab()[UNKNOWN]
        self._fixed = torch.tensor([tokenizer.token_to_id(each) for each in (PAD, BEGIN, END)])

    def fixed(self, ids: Tensor) -> Tensor:
        """Which tokens are no words and are never hidden."""
        return torch.isin(ids, self._fixed)


@dataclass(frozen=True)
class Learned:
    """Photos to learn from, by number: who shows the same item, and what is said.

    identities: (n,), −1 where there is none; count: of identities.
    """

    identities: np.ndarray
    count: int
    words: Words

    @staticmethod
    def of(examples: Sequence[Example], tokenizer: Tokenizer) -> Learned:
        """Number the identities and read the captions of some examples."""
        numbers = numbered(examples)
        known: dict[Hashable | None, int] = {None: -1, **numbers}
        identities = np.array([known[each.identity] for each in examples], np.int64)
        return Learned(
            identities, len(numbers), Words([each.caption for each in examples], tokenizer)
        )

    def batch(self, recipe: ItemRecipe, step: int) -> np.ndarray:
        """Draw the numbers of a step's examples; things without identity serve words alone."""
        rng = np.random.default_rng([recipe.seed, step])
        told = np.flatnonzero(self.identities >= 0)
        untold = np.flatnonzero((self.identities < 0) & self.words.there)
        few = 0
        if recipe.needs(OF_WORDS) and len(untold):
            few = min(len(untold), round(recipe.untold * recipe.batch))
        many = min(len(told), recipe.batch - few)
        drawn = [rng.choice(told, many, replace=False), rng.choice(untold, few, replace=False)]
        return np.concatenate(drawn).astype(np.int64)


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
    *,
    about: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    report: Callable[[ItemProgress], None] = lambda progress: None,
) -> float:
    """Train network and, where it learns, tower; leave the best validation's weights in them.

    Where captions are learned by ITC, what they say becomes part of the item embeddings if that
    validates better. Returns the best validation's score. about: what else a checkpoint belongs to.
    A run that was interrupted goes on after its last validation as if it had never stopped.
    """
    run = _Run(network, tower, learned, recipe)
    frozen = tower.regions(held.crops) if tower.module is None else None

    def validate() -> float:
        network.eval()
        regions = tower.regions(held.crops) if frozen is None else frozen
        with torch.inference_mode():
            return held.score(network.head(regions).numpy())

    def told(rounds: int, losses: dict[str, float] | None, score: float) -> None:
        done = min(rounds * recipe.validate_every, recipe.steps)
        report(ItemProgress(done, losses or {}, score))

    best_score = train_rounds(
        run,
        run.round,
        validate,
        math.ceil(recipe.steps / recipe.validate_every),
        recipe.patience,
        settings=asdict(recipe) | {"examples": len(learned.identities)} | dict(about or {}),
        checkpoint=checkpoint,
        report=told,
        begin=True,
    )
    network.eval()
    if tower.module is not None:
        tower.module.eval()
    if "itc" in recipe.losses and (said := _said(network, learned.words)) is not None:
        network.head.said = said
        spoken = validate()
        if spoken > best_score:
            return spoken
        network.head.said = None
    return best_score


@torch.no_grad()
def _said(network: ItemNetwork, words: Words) -> Tensor | None:
    """Return the embeddings (t, d) of all that is said of the examples; None where that is much."""
    there = torch.from_numpy(words.there)
    _, places = np.unique(words.groups[there].numpy(), return_index=True)
    if not 0 < len(places) <= MOST_SAID:
        return None
    rows = torch.nonzero(there)[:, 0][torch.from_numpy(places)]
    return network.texts(words.ids[rows], words.mask[rows])


class _Run:
    """The parts of one training run and its single step."""

    def __init__(
        self, network: ItemNetwork, tower: Tower, learned: Learned, recipe: ItemRecipe
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.network, self.tower, self.learned, self.recipe = network, tower, learned, recipe
        self.maps = recipe.needs(OF_PAIRS)
        self.arcface = ArcFace(network.settings.width, max(1, learned.count))
        self.arcface.weight.data = self._prototypes()
        self.parts = nn.ModuleDict({"network": network, "arcface": self.arcface})
        trained = list(network.text.parameters())
        if tower.module is not None:
            self.parts["tower"] = tower.module
            trained += list(tower.module.parameters())
        old = {id(each) for each in trained}
        fresh = [each for each in self.parts.parameters() if id(each) not in old]
        groups = [
            {"params": fresh, "lr": recipe.rate, "highest": recipe.rate},
            {"params": trained, "lr": recipe.tower_rate, "highest": recipe.tower_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)

    @torch.no_grad()
    def _prototypes(self) -> Tensor:
        """Begin ArcFace's weights as the means of what the tower sees of each identity."""
        told = np.flatnonzero(self.learned.identities >= 0)
        weights = torch.zeros(max(1, self.learned.count), self.network.settings.width)
        for part in np.array_split(told, max(1, len(told) // 256)):
            looked = self.tower.look(part, 0, self.recipe.seed, False)
            owners = torch.from_numpy(self.learned.identities[part])
            weights.index_add_(0, owners, self.network.head(looked.regions))
        return nn.functional.normalize(weights, dim=1)

    def round(self, number: int) -> dict[str, float]:
        """Make the updates up to the next validation; return the losses' means, by name."""
        every = self.recipe.validate_every
        totals: dict[str, list[float]] = {}
        for step in range(number * every, min((number + 1) * every, self.recipe.steps)):
            for name, value in self._step(step).items():
                totals.setdefault(name, []).append(value)
        return {name: float(np.mean(values)) for name, values in totals.items()}

    def _step(self, step: int) -> dict[str, float]:
        """Make one update; return the losses, by name."""
        self.network.train()
        if self.tower.module is not None:
            self.tower.module.train()
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * self.recipe.share_at(step)
        numbers = self.learned.batch(self.recipe, step)
        looked = self.tower.look(numbers, step + 1, self.recipe.seed, self.maps)
        found = item_losses(
            self.network, self.arcface, self.learned, looked, numbers, self.recipe, step
        )
        total = torch.stack([self.recipe.losses[name] * loss for name, loss in found.items()]).sum()
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.parts.parameters(), 5.0)
        self.optimizer.step()
        return {name: loss.item() for name, loss in found.items()}

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of everything that learns."""
        return copy.deepcopy(self.parts.state_dict())

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take weights over."""
        self.parts.load_state_dict(weights)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {"parts": self.weights(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        self.load(state["parts"])
        self.optimizer.load_state_dict(state["optimizer"])


def item_losses(
    network: ItemNetwork,
    arcface: ArcFace,
    learned: Learned,
    looked: Looked,
    numbers: np.ndarray,
    recipe: ItemRecipe,
    step: int,
) -> dict[str, Tensor]:
    """Return the losses of some examples (b,) that a tower has looked at, by name."""
    found: dict[str, Tensor] = {}
    items = network.head(looked.regions)
    told = torch.from_numpy(learned.identities[numbers])
    if "arcface" in recipe.losses and bool((told >= 0).any()):
        found["arcface"] = arcface(items[told >= 0], told[told >= 0])
    said = torch.from_numpy(np.flatnonzero(learned.words.there[numbers]))
    if not recipe.needs(OF_WORDS) or len(said) < 2:
        return found
    generator = torch.Generator().manual_seed(100_000 * recipe.seed + step)
    words, rows = learned.words, torch.from_numpy(numbers)[said]
    longest = int(words.mask[rows].sum(dim=1).max())
    ids, mask = words.ids[rows, :longest], words.mask[rows, :longest]
    groups = words.groups[rows]
    scores = network.scale() * items[said] @ network.texts(ids, mask).T
    if "itc" in recipe.losses:
        found["itc"] = itc(scores, groups)
    if looked.features is None or not recipe.needs(OF_PAIRS):
        return found
    few = torch.randperm(len(said), generator=generator)[: recipe.pairs]
    said, ids, mask, groups, scores = (
        said[few],
        ids[few],
        mask[few],
        groups[few],
        scores[few][:, few],
    )
    parts = network.parts(looked.features[said], network.head(looked.whole[said]))
    states = network.words(ids, mask)
    seen = network.together(states, mask, parts)
    if "itm" in recipe.losses:
        texts, images = _harder(scores, groups, generator)
        others = network.together(states[texts], mask[texts], parts[images])
        found["itm"] = itm(network.match(seen), network.match(others))
    if "box" in recipe.losses and bool(looked.loose[said].any()):
        loose = looked.loose[said]
        x0, y0, x1, y1 = looked.boxes[said][loose].T
        wanted = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=1)
        found["box"] = box_loss(network.find(seen[loose]), wanted)
    if "mlm" in recipe.losses:
        shown, hidden = mask_words(ids, words.fixed(ids), words.hidden_id, generator)
        blanks = network.together(network.words(shown, mask), mask, parts)
        found["mlm"] = mlm(network.guess(blanks), ids, hidden)
    return found


def _harder(scores: Tensor, groups: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw pairs that do not belong together: each object with another's caption, and the reverse.

    Returns the numbers (n,) of the captions and of the objects.
    """
    texts = hard_negatives(scores, groups, generator)
    images = hard_negatives(scores.T, groups, generator)
    there = texts >= 0
    own = torch.arange(len(scores))[there]
    return torch.cat([texts[there], own]), torch.cat([own, images[there]])
