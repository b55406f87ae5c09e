"""Teaches a network where something is, from boxes of any dataset and without their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from finesight.encoders import Preprocessing
from finesight.errors import InputError
from finesight.images.open import decode_image
from finesight.research.datasets.records import LabelledImage
from finesight.research.networks.finder import STRIDE, FinderNetwork, finder_loss, targets
from finesight.research.training.run import ALONE, Learner, Plan, Run, made_ahead, shuffled

_LIGHT = (0.8, 1.2)  # factors on an image's contrast


@dataclass(frozen=True)
class FinderTraining:
    """What decides a run besides its data.

    canvases: sides in pixels at which the images are shown; every batch takes one of them.
    closest: every batch shows a part of its images, of as large a share of their sides at least;
    half: compute in bfloat16 where that is exact enough, twice as fast on recent CPUs.
    """

    canvases: tuple[int, ...] = (192, 256)
    closest: float = 0.6
    epochs: int = 24
    batch: int = 16
    rate: float = 4e-3
    weight_decay: float = 0.02
    half: bool = True
    seed: int = 0


def train_finder(
    images: Sequence[LabelledImage],
    preprocessing: Preprocessing,
    settings: FinderTraining,
    run: Run = ALONE,
) -> tuple[FinderNetwork, float]:
    """Train on what may be asked for in images; return also the last epoch's loss.

    preprocessing: how images are normalised. Raises InputError where no image has an object.
    """
    if not any(_boxes(image).size for image in images):
        raise InputError("no image has an annotated object: a finder is learned from their boxes")
    torch.manual_seed(settings.seed)
    learner = _FinderLearner(images, preprocessing, settings)
    about = asdict(settings) | {"images": len(images)}
    found = run.learn(learner, Plan(settings.epochs, validate_every=None), about)
    learner.module.fold()
    return learner.module, found["loss"]


class _FinderLearner(Learner):
    """A finder, the images it learns from, and a single epoch."""

    module: FinderNetwork

    def __init__(
        self,
        images: Sequence[LabelledImage],
        preprocessing: Preprocessing,
        settings: FinderTraining,
    ) -> None:
        self.images, self.preprocessing, self.settings = images, preprocessing, settings
        self.module = FinderNetwork()
        self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
        )
        self.steps = -(-len(images) // settings.batch)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.rate, total_steps=self.steps * settings.epochs
        )

    def train(self, number: int) -> dict[str, float]:
        """Go once through all images in an order that follows from seed and epoch."""
        total = 0.0
        self.schedule.last_epoch = number * self.steps  # also where a run goes on
        for pixels, heat, boxes, near in self._batches(number):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.half):
                found = self.module(pixels)
            total += self.descend(finder_loss(found.float(), heat, boxes, near), 5.0)
            self.schedule.step()
        return {"loss": total / self.steps}

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Return pixels (b, 3, side, side) and what `targets` makes of their boxes, once per image.

        The next batch is read from the disk while one is learned from.
        """
        images, settings = self.images, self.settings
        parts = shuffled(len(images), settings.batch, settings.seed, epoch)

        def batch(number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            draw = np.random.default_rng([settings.seed, epoch, number])
            side = int(draw.choice(settings.canvases))
            share = float(draw.uniform(settings.closest, 1.0))
            shown = [_part(images[i], share, side, draw) for i in parts[number]]
            light = draw.uniform(*_LIGHT, (len(shown), 1, 1, 1)).astype(np.float32)
            pixels = self.preprocessing.tensor(np.stack([pixels for pixels, _ in shown])) * light
            given = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
            wanted = [targets(boxes, side // STRIDE) for _, boxes in shown]
            heat, around, near = (torch.stack(each) for each in zip(*wanted, strict=True))
            return given, heat, around, near

        return made_ahead(batch, range(len(parts)))


def _boxes(image: LabelledImage) -> np.ndarray:
    """Return the boxes (n, 4) of what may be asked for, normalised xyxy."""
    boxes = [thing.box for thing in image.objects if thing.role == "query"]
    return np.array(boxes, np.float32).reshape(-1, 4)


def _part(
    image: LabelledImage, share: float, side: int, draw: np.random.Generator
) -> tuple[np.ndarray, Tensor]:
    """A random part of an image at side × side, mirrored or not, and the boxes centred in it."""
    whole = decode_image(image.path.read_bytes())
    low = draw.uniform(0, 1 - share, 2)
    window = np.array([*low, *(low + share)]) * np.array([whole.width, whole.height] * 2)
    x0, y0, x1, y1 = window.tolist()
    part = whole.resize((side, side), Image.Resampling.BILINEAR, box=(x0, y0, x1, y1))
    pixels = np.asarray(part)
    boxes = torch.from_numpy((_boxes(image) - np.tile(low, 2)) / share).float()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    boxes = boxes[((centres > 0) & (centres < 1)).all(dim=1)].clamp(0, 1)
    if draw.random() < 0.5:
        pixels = pixels[:, ::-1]
        boxes = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], dim=1)
    return pixels, boxes
