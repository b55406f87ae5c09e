"""Trains region fusion, and the linear probe beside it, on image–caption pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finesight.research.metrics import caption_recalls
from finesight.research.networks.region_fusion import RegionFusionSettings, WithTextHead
from finesight.research.training.matcher.loop import PROBE, PairProgress, Recipe, train_pairs
from finesight.research.training.matcher.pairs import CaptionPairs
from finesight.types import Float32

LARGEST_SCALE = 100.0  # CLIP's bound on the temperature
_AT_ONCE = 256


class FusionOnPairs:
    """A fusion and its text head, with the frozen embeddings of some captions."""

    def __init__(
        self,
        module: WithTextHead,
        pairs: CaptionPairs,
        embeddings: Float32,
        scaled: bool = True,
        device: str = "cpu",
    ) -> None:
        """embeddings: (t, d), of the captions; scaled: as the contrastive loss wants scores."""
        self.module: WithTextHead = module.to(device)
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
        count = len(self.pairs.regions)
        vectors = []
        for start in range(0, count, _AT_ONCE):
            rows = range(start, min(start + _AT_ONCE, count))
            wholes = self.pairs.wholes(rows, self.device)
            fused = self.module.fusion(*self.pairs.images(rows, self.device), wholes)
            vectors.append(fused[:, 0])
        found: np.ndarray = (torch.cat(vectors) @ texts.T).cpu().numpy()
        return found

    def rsum(self) -> float:
        """Return the sum of the six recalls, in percent."""
        return caption_recalls(self.all_scores(), self.pairs.owner).rsum


def train_region_fusion(
    settings: RegionFusionSettings,
    training: CaptionPairs,
    validation: CaptionPairs,
    encode: Callable[[list[str]], Float32],
    recipe: Recipe = PROBE,
    *,
    checkpoint: Path | None = None,
    report: Callable[[PairProgress], None] = lambda progress: None,
    device: str = "cpu",
) -> tuple[WithTextHead, float]:
    """Return a trained fusion, and the sum of its recalls on the validation pairs.

    encode: gives the frozen embeddings (t, d) of texts.
    """
    torch.manual_seed(recipe.seed)
    module = WithTextHead(settings)
    scaled = recipe.loss == "contrastive"
    model, held = (
        FusionOnPairs(module, pairs, encode(list(pairs.captions)), scaled, device)
        for pairs in (training, validation)
    )
    score = train_pairs(
        model,
        training,
        recipe,
        held.rsum,
        about=asdict(settings),
        checkpoint=checkpoint,
        report=report,
    )
    return module, score
