"""The loop that trains a fusion on the cached features of a frozen encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from finesight.errors import InputError
from finesight.research.networks.clusters import SalientClusters
from finesight.research.networks.fusion import FusionNetwork, FusionSettings, build_fusion
from finesight.research.networks.score_table import ScoreTable
from finesight.research.training.features import FeatureCache
from finesight.research.training.fusion import losses
from finesight.research.training.fusion.losses import best_scores
from finesight.research.training.fusion.proxies import Proxies
from finesight.research.training.run import ALONE, Learner, Plan, Run, shuffled

_TABLED = 2000  # that say what a word typically gets; more would not change it
_AT_ONCE = 64


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


def network_for(kind: str, width: int, vectors: int, proxies: Proxies) -> FusionSettings:
    """Return the network of a kind that is best trained with these proxies; others are defaults."""
    clusters = kind == "clusters"
    directions = proxies.begin_with if clusters else (0, 0)
    return FusionSettings(kind, width, vectors, geometry=clusters, directions=directions)


Validate = Callable[[FusionNetwork], float]


def train_fusion(
    cache: FeatureCache,
    network: FusionSettings,
    settings: FusionTraining,
    proxies: Proxies,
    validate: Validate,
    run: Run = ALONE,
) -> tuple[FusionNetwork, float]:
    """Train from scratch or go on; return the network of the best validation, and its score.

    validate: scores a network before the first and after every epoch; training stops when the best
    one has not been surpassed for `settings.patience` epochs.
    """
    torch.manual_seed(settings.seed)
    learner = _FusionLearner(cache, network, settings, proxies, validate, run.device)
    about = asdict(settings) | asdict(network) | {"images": len(cache)}
    about |= {key: cache.settings[key] for key in ("fingerprint", "regions")}
    about["vectors"] = [network.vectors, *settings.vectors]
    plan = Plan(settings.epochs, patience=settings.patience, first=True)
    scores = run.learn(learner, plan, about)
    return learner.module, scores["validation"]


class _FusionLearner(Learner):
    """A fusion, the features it learns from, and a single epoch."""

    module: FusionNetwork

    def __init__(
        self,
        cache: FeatureCache,
        network: FusionSettings,
        settings: FusionTraining,
        proxies: Proxies,
        score: Validate,
        device: str,
    ) -> None:
        self.cache, self.settings, self.proxies = cache, settings, proxies
        self.score, self.device = score, device
        self.module = build_fusion(network).to(device)
        if isinstance(self.module, SalientClusters) and any(network.directions):
            self.module.begin(*proxies.directions(network.directions[0], cache))
        self.steps = math.ceil(len(cache) / settings.batch)
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
        )

    def validate(self) -> dict[str, float]:
        """Score the network as it is."""
        return {"validation": self.score(self.module)}

    def train(self, number: int) -> dict[str, float]:
        """Go once through all images in an order that follows from seed and epoch."""
        seed, total = self.settings.seed, 0.0
        generator = torch.Generator().manual_seed(1000 * seed + number)
        torch.manual_seed(1000 * seed + number)  # of the dropout
        parts = shuffled(len(self.cache), self.settings.batch, seed, number)
        for step, part in enumerate(parts):
            self.set_rate(self._rate((number + step / self.steps) / self.settings.epochs))
            total += self._step(part.tolist(), generator)
        return {"loss": total / self.steps}

    def _step(self, images: Sequence[int], generator: torch.Generator) -> float:
        arrays = self.cache.padded(images)
        regions, boxes, there = (torch.from_numpy(part).to(self.device) for part in arrays)
        texts = self.proxies.sample(regions.cpu(), there.cpu(), generator).to(self.device)
        if self.module.any_number:
            choice = torch.randint(len(self.settings.vectors), (), generator=generator)
            self.module.vectors = self.settings.vectors[int(choice)]
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device != "cpu"):
            vectors = self.module(regions, there, boxes)
        loss = self._loss(texts, regions, there, vectors.float())
        return self.descend(loss, 1.0)

    def _loss(self, texts: Tensor, regions: Tensor, there: Tensor, vectors: Tensor) -> Tensor:
        target, answer = best_scores(texts, regions, there), best_scores(texts, vectors)
        loss = vectors.new_zeros(())
        for name, weight in self.settings.losses.items():
            if name == "diversity":
                loss = loss + weight * losses.diversity(vectors)
            elif name == "global":
                loss = loss + weight * losses.global_meaning(vectors, regions[:, 0])
            else:
                loss = loss + weight * losses.TARGET_LOSSES[name](target, answer)
        return loss

    def _rate(self, done: float) -> float:
        """Linear warm-up, then half a cosine down to zero; `done` in 0..1."""
        warm = self.settings.warm_up
        if done < warm:
            return self.settings.rate * (done / warm + 1e-3)
        return self.settings.rate * (1 + math.cos(math.pi * (done - warm) / (1 - warm))) / 2


def fill_table(cache: FeatureCache, proxies: Proxies) -> ScoreTable:
    """Return a table for the proxies' words, of which nothing is trained.

    A vector of width d can repeat the scores of d − 1 words at most. Raises InputError for more,
    and for none.
    """
    count = proxies.words
    width = cache[0].embeddings.shape[1]
    if proxies.texts is None or not 0 < count < width:
        raise InputError(
            f"a table needs words to hold, fewer than the {width} numbers of a vector, and got "
            f"{count}: name a shorter --vocabulary, or use another --kind"
        )
    texts = proxies.texts[:count]
    network = ScoreTable(FusionSettings("table", width, directions=(count, 0)))
    some = list(range(0, len(cache), -(-len(cache) // _TABLED)))
    parts = []
    for start in range(0, len(some), _AT_ONCE):
        embeddings, _, there = cache.padded(some[start : start + _AT_ONCE])
        parts.append(best_scores(texts, torch.from_numpy(embeddings), torch.from_numpy(there)))
    network.begin(texts, torch.cat(parts))
    return network.eval()
