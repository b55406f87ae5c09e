"""The vision towers that items are trained on: frozen, as a bundle has it, or learning.

Shapes: b views, d the embedding's width, c channels, h × w cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.encoders.base import Encoder
from finesight.research.networks.item_backbone import TransformerTower
from finesight.research.networks.items import pool_inside
from finesight.research.networks.small_clip import ImageTower
from finesight.research.training.encoder.augmentation import normalise, relight
from finesight.research.training.items.views import ViewSampler
from finesight.types import UInt8

_AT_ONCE = 512  # crops that a learning tower validates in one go
_WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])  # the box of a whole view


@dataclass(frozen=True)
class EncodedViews:
    """What a tower sees of some views.

    regions: (b, d), of length 1, of the objects; whole: (b, d), the same of the views as wholes;
    features: (b, c, h, w), None where they were not asked for; boxes: (b, 4), where the objects are
    in their views; loose: (b,), which views show more than their object.
    """

    regions: Tensor
    whole: Tensor
    features: Tensor | None
    boxes: Tensor
    loose: Tensor

    def rows(self, chosen: Tensor) -> EncodedViews:
        """Return some of them."""
        features = None if self.features is None else self.features[chosen]
        others = (each[chosen] for each in (self.regions, self.whole, self.boxes, self.loose))
        regions, whole, boxes, loose = others
        return EncodedViews(regions, whole, features, boxes, loose)


class Tower(Protocol):
    """What training asks of a tower."""

    @property
    def module(self) -> nn.Module | None:
        """What learns, if anything does."""

    def encode(self, numbers: np.ndarray, step: int, seed: int, maps: bool) -> EncodedViews:
        """Encode a view of each of some examples; seed and step decide which view."""

    def regions(self, crops: UInt8) -> Tensor:
        """Return the embeddings (n, d), of length 1, of crops (n, side, side, 3)."""


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
            features = None
            if maps:
                found = encoder.encode_spatial(views.pixels).astype(np.float16)
                features = torch.from_numpy(np.ascontiguousarray(found.transpose(0, 3, 1, 2)))
            boxes, loose = torch.from_numpy(views.boxes), torch.from_numpy(views.loose)
            self._seen.append(EncodedViews(embeddings, embeddings, features, boxes, loose))

    def encode(self, numbers: np.ndarray, step: int, seed: int, maps: bool) -> EncodedViews:
        """Return what it saw of each example in one of the rounds."""
        rounds = np.random.default_rng([seed, step, 7]).integers(self.rounds, size=len(numbers))
        seen = [(self._seen[r], int(n)) for r, n in zip(rounds, numbers, strict=True)]
        regions = torch.stack([each.regions[n] for each, n in seen])
        features = None
        if maps:
            kept = [each.features[n] for each, n in seen if each.features is not None]
            features = torch.stack(kept).float()
        boxes = torch.stack([each.boxes[n] for each, n in seen])
        loose = torch.stack([each.loose[n] for each, n in seen])
        return EncodedViews(regions, regions, features, boxes, loose)

    def regions(self, crops: UInt8) -> Tensor:
        """Return the encoder's embeddings of crops."""
        return torch.from_numpy(self.encoder.encode_images(crops))


class TunedTower:
    """A vision tower that learns: every step encodes fresh views, in bfloat16.

    An object is the features pooled inside its box: the whole view where that is the box, about.
    """

    def __init__(self, tower: ImageTower | TransformerTower, sampler: ViewSampler) -> None:
        self.tower, self.sampler = tower, sampler

    @property
    def module(self) -> nn.Module:
        """The tower itself."""
        return self.tower

    def encode(self, numbers: np.ndarray, step: int, seed: int, maps: bool) -> EncodedViews:
        """Encode a fresh view of each example."""
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
        """Return the embeddings of crops, by the tower as it is now."""
        learning = self.tower.training
        self.tower.eval()
        parts = [
            self._embedded(self.tower.features(normalise(some)), _WHOLE)
            for some in torch.from_numpy(crops).split(_AT_ONCE)
        ]
        self.tower.train(learning)
        return torch.cat(parts)
