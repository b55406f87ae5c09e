"""The loop that trains the small dual encoder on crops of rendered scenes."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from finesight.research.networks.small_clip import SmallClip, SmallClipSettings
from finesight.research.training.encoder.augmentation import augment, normalise
from finesight.research.training.encoder.concepts import SHOWN, caption, words
from finesight.research.training.encoder.crops import Batch, CropSampler, Rendered
from finesight.research.training.encoder.losses import multi_positive_info_nce
from finesight.research.training.encoder.validation import ObjectNaming
from finesight.research.training.encoder.weights import load_weights
from finesight.research.training.run import ALONE, Learner, Plan, Run, made_ahead, warm_cosine
from finesight.research.training.vocabulary import build_tokenizer, tokens


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
class TrainedEncoder:
    """The trained network, the tokenizer of its texts, and its scores on the validation objects."""

    network: SmallClip
    tokenizer: Tokenizer
    scores: dict[str, float]


def train_encoder(
    data: Rendered,
    settings: TrainingSettings,
    run: Run = ALONE,
    *,
    start: Path | None = None,
    keep_every: int = 100,
    validate_every: int = 200,
) -> TrainedEncoder:
    """Train from scratch, or go on from the checkpoint of a stopped run of the same settings.

    start: a bundle of the same classes whose weights it begins with instead of random ones;
    keep_every, validate_every: steps between checkpoints, and between validations.
    """
    torch.manual_seed(settings.seed)
    learner = _EncoderLearner(data, settings)
    if start is not None:
        load_weights(learner.module, start)
    about = asdict(settings) | {"scenes": len(data.training), "start": str(start)}
    about |= {key: list(getattr(data.concepts, key)) for key in ("classes", "colors")}
    plan = Plan(settings.steps, "step", validate_every, keep_every)
    scores = run.learn(learner, plan, about)
    return TrainedEncoder(learner.module, learner.tokenizer, scores)


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


class _EncoderLearner(Learner):
    """The small dual encoder, its crops, and a single step."""

    module: SmallClip

    def __init__(self, data: Rendered, settings: TrainingSettings) -> None:
        concepts = self.concepts = data.concepts
        self.settings = settings
        vocabulary = words(concepts.classes, concepts.colors)
        self.tokenizer = build_tokenizer(vocabulary, SmallClipSettings(0).longest_text)
        self.module = SmallClip(SmallClipSettings(self.tokenizer.get_vocab_size()))
        self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        side = self.module.settings.image_size
        self.naming = ObjectNaming(data.validation, concepts, side)
        self.sampler = CropSampler(data.training, concepts, side, settings.batch, settings.seed)
        self.batches: Iterator[Batch] | None = None
        weights = [p for p in self.module.parameters() if p.ndim >= 2]
        others = [p for p in self.module.parameters() if p.ndim < 2]
        groups = [
            {"params": weights, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},  # biases, norms and the temperature
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98))

    def train(self, number: int) -> dict[str, float]:
        """Make one update; everything random in it follows from the step's number."""
        settings = self.settings
        if self.batches is None:
            self.batches = made_ahead(self.sampler.batch, range(number, settings.steps), 4)
        pixels, content = next(self.batches)
        rng = np.random.default_rng([settings.seed, number, 1])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        spoken = spoken_concepts(content, self.concepts.first_pair, settings.texts, rng)
        captions = [caption(self.concepts.all[index], rng) for index in spoken]
        self.set_rate(settings.rate * warm_cosine(number, settings.steps, settings.warm_up))
        images = augment(normalise(torch.from_numpy(pixels)), generator)
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.module(images, *tokens(self.tokenizer, captions))
        loss = self.loss(scores.float(), torch.from_numpy(content[:, spoken]))
        return {"loss": self.descend(loss, 1.0)}

    def loss(self, scores: Tensor, content: Tensor) -> Tensor:
        """The contrastive loss over all captions, and once more over the classes alone.

        Colours are learned within a hundred steps and classes slowly; the second term is about
        nothing but what the object is.
        """
        classes = slice(0, 2 + len(self.concepts.classes))
        return multi_positive_info_nce(scores, content) + multi_positive_info_nce(
            scores[:, classes], content[:, classes]
        )

    def validate(self) -> dict[str, float]:
        """The shares of the validation objects that the network names right."""
        with torch.inference_mode():
            captions = self.module.text(*tokens(self.tokenizer, self.naming.captions()))
        return self.naming.scores(self.module.image, captions)
