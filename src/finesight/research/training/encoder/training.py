"""The loop that trains the small dual encoder on crops of rendered scenes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from finesight.research.networks.small_clip import SmallClip, SmallClipSettings
from finesight.research.training.checkpoints import load_checkpoint, save_checkpoint
from finesight.research.training.encoder.augmentation import augment, normalise
from finesight.research.training.encoder.captions import caption, words
from finesight.research.training.encoder.concepts import SHOWN, Concepts
from finesight.research.training.encoder.crops import CropSampler, Scene
from finesight.research.training.encoder.losses import multi_positive_info_nce
from finesight.research.training.encoder.validation import ObjectNaming
from finesight.research.training.encoder.weights import load_weights
from finesight.research.training.vocabulary import build_tokenizer


@dataclass(frozen=True)
class TrainingSettings:
    """What decides a run besides its data: the same settings and data train the same model."""

    steps: int = 1800
    batch: int = 256
    texts: int = 256  # captions a step: every class and colour once, the rest classes in colours
    rate: float = 2e-3
    warm_up: int = 60
    weight_decay: float = 0.02
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """What is known after a step; `scores` only when the model was just validated."""

    step: int
    loss: float
    scores: dict[str, float] | None


@dataclass(frozen=True)
class TrainedEncoder:
    """The trained network, the tokenizer of its texts, and its scores on the validation objects."""

    network: SmallClip
    tokenizer: Tokenizer
    scores: dict[str, float]


def train_encoder(
    scenes: list[Scene],
    validation: list[Scene],
    concepts: Concepts,
    settings: TrainingSettings,
    *,
    start: Path | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 100,
    validate_every: int = 200,
    report: Callable[[Progress], None] = lambda progress: None,
) -> TrainedEncoder:
    """Train from scratch, or go on from the checkpoint of a stopped run of the same settings.

    start: a bundle of the same classes whose weights it begins with instead of random ones.
    """
    torch.manual_seed(settings.seed)
    run = _Run(scenes, concepts, settings)
    if start is not None:
        load_weights(run.network, start)
    naming = ObjectNaming(validation, concepts, run.network.settings.image_size)
    about = asdict(settings) | {"scenes": len(scenes), "start": str(start), **_names(concepts)}
    first = 0
    if checkpoint is not None and (state := load_checkpoint(checkpoint, about)) is not None:
        first = run.restore(state)
    for step, batch in enumerate(run.sampler.batches(first, settings.steps), first):
        loss = run.step(step, torch.from_numpy(batch.pixels), batch.content)
        done = step + 1
        if checkpoint is not None and done % checkpoint_every == 0:
            save_checkpoint(checkpoint, about, run.state(done))
        due = done % validate_every == 0 and done < settings.steps
        report(Progress(done, loss, run.validate(naming) if due else None))
    scores = run.validate(naming)
    return TrainedEncoder(run.network.eval(), run.tokenizer, scores)


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2017, equation 5)."""
    if step < settings.warm_up:
        return settings.rate * (step + 1) / settings.warm_up
    share = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return settings.rate * (1 + math.cos(math.pi * share)) / 2


def spoken_concepts(
    content: NDArray[np.int8], first_pair: int, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The concepts (t,) that a batch with content (b, concepts) is asked about; `count` or fewer.

    Everything but pairs of class and colour always; then pairs that the batch shows, and, to fill
    up, pairs that it does not show: they teach a colour or a class alone to be not enough.
    """
    shown = (content[:, first_pair:] == SHOWN).any(axis=0)
    order = rng.permutation(len(shown))
    order = order[np.argsort(~shown[order], kind="stable")]
    pairs = first_pair + order[: max(0, count - first_pair)]
    return np.concatenate([np.arange(first_pair), pairs])


class _Run:
    """The parts of one training run and its single step."""

    def __init__(self, scenes: list[Scene], concepts: Concepts, settings: TrainingSettings) -> None:
        self.concepts = concepts
        self.settings = settings
        vocabulary = words(concepts.classes, concepts.colors)
        self.tokenizer = build_tokenizer(vocabulary, SmallClipSettings(0).longest_text)
        self.network = SmallClip(SmallClipSettings(self.tokenizer.get_vocab_size()))
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        side = self.network.settings.image_size
        self.sampler = CropSampler(scenes, concepts, side, settings.batch, settings.seed)
        weights = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        groups = [
            {"params": weights, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},  # biases, norms and the temperature
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98))

    def step(self, step: int, pixels: Tensor, content: NDArray[np.int8]) -> float:
        """One update on crops (b, side, side, 3); everything random in it follows from the step."""
        rng = np.random.default_rng([self.settings.seed, step, 1])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        spoken = spoken_concepts(content, self.concepts.first_pair, self.settings.texts, rng)
        captions = [caption(self.concepts.all[index], rng) for index in spoken]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.settings)
        self.network.train()
        images = augment(normalise(pixels), generator)
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.network(images, *self.encode(captions))
        loss = self.loss(scores.float(), torch.from_numpy(content[:, spoken]))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def loss(self, scores: Tensor, content: Tensor) -> Tensor:
        """The contrastive loss over all captions, and once more over the classes alone.

        Colours are learned within a hundred steps and classes slowly; the second term is about
        nothing but what the object is.
        """
        classes = slice(0, 2 + len(self.concepts.classes))
        return multi_positive_info_nce(scores, content) + multi_positive_info_nce(
            scores[:, classes], content[:, classes]
        )

    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask (t, w)."""
        encoded = self.tokenizer.encode_batch(texts)
        return (
            torch.tensor([e.ids for e in encoded]),
            torch.tensor([e.attention_mask for e in encoded]),
        )

    def validate(self, naming: ObjectNaming) -> dict[str, float]:
        """The shares of the validation objects that the network names right."""
        self.network.eval()
        with torch.inference_mode():
            captions = self.network.text(*self.encode(naming.captions()))
        return naming.scores(self.network.image, captions)

    def state(self, step: int) -> dict[str, Any]:
        """What `restore` needs to go on after `step` steps."""
        return {
            "step": step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> int:
        """Take over a saved state and return how many steps it has behind it."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])


def _names(concepts: Concepts) -> dict[str, Any]:
    return {"classes": list(concepts.classes), "colors": list(concepts.colors)}
