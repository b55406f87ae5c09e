"""Trains region fusion, and the linear probe beside it, on image–caption pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from finesight.research.networks.region_fusion import RegionFusionSettings, WithTextHead
from finesight.research.networks.small_clip import LARGEST_SCALE
from finesight.research.training.matcher.loop import PROBE, PairModel, Recipe, train_pairs
from finesight.research.training.matcher.pairs import CaptionPairs
from finesight.research.training.run import ALONE, Run
from finesight.types import Float32


class FusionOnPairs(PairModel):
    """A fusion and its text head, with the frozen embeddings of some captions."""

    module: WithTextHead

    def __init__(
        self,
        module: WithTextHead,
        pairs: CaptionPairs,
        embeddings: Float32,
        scaled: bool = True,
        device: str = "cpu",
    ) -> None:
        """embeddings: (t, d), of the captions; scaled: as the contrastive loss wants scores."""
        self.module = module.to(device)
        self.pairs, self.scaled, self.device = pairs, scaled, device
        self.embeddings = torch.from_numpy(embeddings).to(device)

    def scores(self, images: list[int], captions: list[int]) -> Tensor:
        """Return the cosines (b, t), or these times the temperature's inverse."""
        found: Tensor = self.module(
            *self.pairs.images(images, self.device),
            self.embeddings[captions],
            self.pairs.wholes(images, self.device),
        )
        scale = self.module.log_scale.exp().clamp(max=LARGEST_SCALE)
        return found * scale if self.scaled else found

    @torch.inference_mode()
    def all_scores(self) -> np.ndarray:
        """Return the cosines (n, t) of all images with all captions."""
        texts = self.module.texts(self.embeddings)
        vectors = []
        for rows in self.pairs.blocks():
            wholes = self.pairs.wholes(rows, self.device)
            fused = self.module.fusion(*self.pairs.images(rows, self.device), wholes)
            vectors.append(fused[:, 0])
        found: np.ndarray = (torch.cat(vectors) @ texts.T).cpu().numpy()
        return found


def train_region_fusion(
    settings: RegionFusionSettings,
    training: CaptionPairs,
    validation: CaptionPairs,
    encode: Callable[[list[str]], Float32],
    recipe: Recipe = PROBE,
    run: Run = ALONE,
) -> tuple[WithTextHead, float]:
    """Return a trained fusion, and the sum of its recalls on the validation pairs.

    encode: gives the frozen embeddings (t, d) of texts.
    """
    torch.manual_seed(recipe.seed)
    module = WithTextHead(settings)
    scaled = recipe.loss == "contrastive"
    model, held = (
        FusionOnPairs(module, pairs, encode(list(pairs.captions)), scaled, run.device)
        for pairs in (training, validation)
    )
    return module, train_pairs(model, held, recipe, run, asdict(settings))
