"""The loop that trains a fusion on the cached features of a frozen encoder."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finesight.research.networks.fusion import (
    FusionNetwork,
    FusionSettings,
    SalientClusters,
    build_fusion,
)
from finesight.research.training.features import FeatureCache
from finesight.research.training.fusion.losses import (
    TARGET_LOSSES,
    best_scores,
    diversity,
    global_meaning,
)
from finesight.research.training.fusion.proxies import Proxies
from finesight.research.training.run import train_rounds


@dataclass(frozen=True)
class FusionTraining:
    """What decides a run besides its features: the same settings and data train the same fusion.

    epochs over the images; batch: images a step; vectors: the numbers k of which each step draws
    one, where the network serves any k; losses: the weight of each of TARGET_LOSSES, of
    "diversity" and of "global"; patience: validations without a better one before it stops.
    """

    epochs: int = 30
    batch: int = 64
    rate: float = 1e-3
    warm_up: float = 0.1
    weight_decay: float = 0.01
    vectors: tuple[int, ...] = (1, 2, 4, 8)
    losses: dict[str, float] = field(default_factory=lambda: {"mse": 1.0})
    patience: int = 8
    seed: int = 0


@dataclass(frozen=True)
class FusionProgress:
    """What is known after an epoch, 0 before the first; score: higher is better."""

    epoch: int
    loss: float
    score: float


Validate = Callable[[FusionNetwork], float]


def train_fusion(
    cache: FeatureCache,
    network: FusionSettings,
    settings: FusionTraining,
    proxies: Proxies,
    validate: Validate,
    *,
    checkpoint: Path | None = None,
    report: Callable[[FusionProgress], None] = lambda progress: None,
    device: str = "cpu",
) -> tuple[FusionNetwork, float]:
    """Train from scratch or go on; return the network of the best validation, and its score.

    validate: scores a network after every epoch; the best one is kept, and training stops when it
    has not been surpassed for `settings.patience` epochs.
    """
    torch.manual_seed(settings.seed)
    run = _Run(cache, network, settings, proxies, device)
    about = asdict(settings) | asdict(network) | {"images": len(cache), **_about(cache)}
    about["vectors"] = [network.vectors, *settings.vectors]

    def validated() -> float:
        run.network.eval()
        return validate(run.network)

    def told(epochs: int, loss: float | None, score: float) -> None:
        report(FusionProgress(epochs, math.nan if loss is None else loss, score))

    best_score = train_rounds(
        run,
        run.epoch,
        validated,
        settings.epochs,
        settings.patience,
        settings=about,
        checkpoint=checkpoint,
        report=told,
        begin=True,
    )
    return run.network.eval(), best_score


class _Run:
    """The parts of one training run and its single epoch."""

    def __init__(
        self,
        cache: FeatureCache,
        network: FusionSettings,
        settings: FusionTraining,
        proxies: Proxies,
        device: str,
    ) -> None:
        self.cache, self.settings, self.proxies, self.device = cache, settings, proxies, device
        self.network = build_fusion(network).to(device)
        if isinstance(self.network, SalientClusters) and any(network.directions):
            self.network.begin(*proxies.directions(network.directions[0], cache))
        self.steps = math.ceil(len(cache) / settings.batch)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
        )

    def epoch(self, epoch: int) -> float:
        """Go once through all images in an order that follows from seed and epoch."""
        order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.cache))
        generator = torch.Generator().manual_seed(1000 * self.settings.seed + epoch)
        self.network.train()
        torch.manual_seed(1000 * self.settings.seed + epoch)  # of the dropout
        total = 0.0
        for step, part in enumerate(np.array_split(order, self.steps)):
            rate = self._rate((epoch + step / self.steps) / self.settings.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            total += self._step(part.tolist(), generator)
        return total / self.steps

    def _step(self, images: Sequence[int], generator: torch.Generator) -> float:
        arrays = self.cache.padded(images)
        regions, boxes, there = (torch.from_numpy(part).to(self.device) for part in arrays)
        texts = self.proxies.sample(regions.cpu(), there.cpu(), generator).to(self.device)
        if self.network.any_number:
            choice = torch.randint(len(self.settings.vectors), (), generator=generator)
            self.network.vectors = self.settings.vectors[int(choice)]
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device != "cpu"):
            vectors = self.network(regions, there, boxes)
        loss = self._loss(texts, regions, there, vectors.float())
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def _loss(self, texts: Tensor, regions: Tensor, there: Tensor, vectors: Tensor) -> Tensor:
        target, answer = best_scores(texts, regions, there), best_scores(texts, vectors)
        loss = vectors.new_zeros(())
        for name, weight in self.settings.losses.items():
            if name == "diversity":
                loss = loss + weight * diversity(vectors)
            elif name == "global":
                loss = loss + weight * global_meaning(vectors, regions[:, 0])
            else:
                loss = loss + weight * TARGET_LOSSES[name](target, answer)
        return loss

    def _rate(self, done: float) -> float:
        """Linear warm-up, then half a cosine down to zero; `done` in 0..1."""
        warm = self.settings.warm_up
        if done < warm:
            return self.settings.rate * (done / warm + 1e-3)
        return self.settings.rate * (1 + math.cos(math.pi * (done - warm) / (1 - warm))) / 2

    def weights(self) -> dict[str, Tensor]:
        """A copy of the network's parameters."""
        return copy.deepcopy(self.network.state_dict())

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take parameters over."""
        self.network.load_state_dict(weights)

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on after an epoch."""
        return {"network": self.weights(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        self.load(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def _about(cache: FeatureCache) -> dict[str, Any]:
    return {key: cache.settings[key] for key in ("fingerprint", "regions")}
