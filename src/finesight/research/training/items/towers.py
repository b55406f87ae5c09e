"""The vision towers that items are trained on: frozen, as a bundle has it, or learning.

Shapes: b views, d the embedding's width, c channels, h × w cells.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from finesight.encoders.base import Encoder
from finesight.research.networks.items import TransformerTower, pool_inside
from finesight.research.networks.small_clip import ImageTower
from finesight.research.training.encoder.augmentation import normalise, relight
from finesight.research.training.items.views import ViewSampler
from finesight.types import UInt8

_AT_ONCE = 512  # crops that a learning tower validates in one go
_WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])  # the box of a whole view


class EncodedViews(NamedTuple):
    """What a tower sees of some views.

    regions: (b, d), of length 1, of the objects; whole: (b, d), the same of the views as wholes;
    features: (b, c, h, w), or (b, 0, 0, 0) where they were not asked for; boxes: (b, 4), where the
    objects are in their views; loose: (b,), which views show more than their object.
    """

    regions: Tensor
    whole: Tensor
    features: Tensor
    boxes: Tensor
    loose: Tensor

    def rows(self, chosen: Tensor) -> "EncodedViews":
        """Return some of them."""
        return EncodedViews(*(each[chosen] for each in self))


class FrozenTower:
    """An encoder as it is: it encodes some rounds of views once, before training begins.

    An object is its view's embedding, as a stored region's is.
    """

    module = None

    def __init__(self, encoder: Encoder, sampler: ViewSampler, rounds: int, maps: bool) -> None:
        self.encoder, self.rounds = encoder, rounds
        self._seen: list[EncodedViews] = []
        for round_ in range(rounds):
            views = sampler.views(range(len(sampler.parts)), round_)
            embeddings = torch.from_numpy(encoder.encode_images(views.pixels))
            features = torch.zeros(len(embeddings), 0, 0, 0)
            if maps:
                found = encoder.encode_spatial(views.pixels).astype(np.float16)
                features = torch.from_numpy(np.ascontiguousarray(found.transpose(0, 3, 1, 2)))
            boxes, loose = torch.from_numpy(views.boxes), torch.from_numpy(views.loose)
            self._seen.append(EncodedViews(embeddings, embeddings, features, boxes, loose))

    def encode(self, numbers: np.ndarray, step: int, seed: int) -> EncodedViews:
        """Return what it saw of each example (b,) in one of the rounds; seed and step choose."""
        rounds = np.random.default_rng([seed, step, 7]).integers(self.rounds, size=len(numbers))
        places = torch.from_numpy(numbers)
        seen = [self._seen[r].rows(n) for r, n in zip(rounds, places, strict=True)]
        found = EncodedViews(*(torch.stack(each) for each in zip(*seen, strict=True)))
        return found._replace(features=found.features.float())

    def regions(self, crops: UInt8) -> Tensor:
        """Return the embeddings (n, d), of length 1, of crops (n, side, side, 3)."""
        return torch.from_numpy(self.encoder.encode_images(crops))


class TunedTower:
    """A vision tower that learns: every step encodes fresh views, in bfloat16.

    An object is the features pooled inside its box: the whole view where that is the box, about.
    """

    def __init__(self, tower: ImageTower | TransformerTower, sampler: ViewSampler) -> None:
        self.tower = self.module = tower
        self.sampler = sampler

    def encode(self, numbers: np.ndarray, step: int, seed: int) -> EncodedViews:
        """Encode a fresh view of each example (b,); seed and step decide which."""
        views = self.sampler.views(numbers.tolist(), step)
        generator = torch.Generator().manual_seed(100_000 * seed + step)
        pixels = relight(normalise(torch.from_numpy(views.pixels)), generator)
        boxes, loose = torch.from_numpy(views.boxes), torch.from_numpy(views.loose)
        with torch.autocast("cpu", torch.bfloat16):
            features = self.tower.features(pixels)
        features = features.float()
        regions = self._embedded(features, torch.where(loose[:, None], boxes, _WHOLE))
        return EncodedViews(regions, self._embedded(features, _WHOLE), features, boxes, loose)

    def _embedded(self, features: Tensor, boxes: Tensor) -> Tensor:
        boxes = boxes.expand(len(features), 4)
        return F.normalize(self.tower.project(pool_inside(features, boxes)), dim=-1)

    @torch.inference_mode()
    def regions(self, crops: UInt8) -> Tensor:
        """Return the embeddings (n, d), of length 1, of crops, by the tower as it is now."""
        learning = self.tower.training
        self.tower.eval()
        parts = [
            self._embedded(self.tower.features(normalise(some)), _WHOLE)
            for some in torch.from_numpy(crops).split(_AT_ONCE)
        ]
        self.tower.train(learning)
        return torch.cat(parts)


Tower = FrozenTower | TunedTower
"""A vision tower; `module` is what learns of it, if anything does."""
