"""Losses between the images of a batch and their captions, caption i being of image i.

Scores s (b, b); `free` (b, b) says which pairs may serve as negatives: not those of one image or
with one wording, as these are true as well (free_pairs).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from finesight.research.training.encoder.losses import multi_positive_info_nce


def free_pairs(images: Tensor, texts: Tensor) -> Tensor:
    """Return which pairs (b, b) share neither image nor wording, by the numbers (b,) of each."""
    return (images[:, None] != images[None]) & (texts[:, None] != texts[None])


def contrastive(scores: Tensor, free: Tensor) -> Tensor:
    """InfoNCE in both directions over scaled cosines; pairs that are not free count as true."""
    return multi_positive_info_nce(scores, (~free).long())


def triplet(scores: Tensor, free: Tensor, hardest: float = 1.0, margin: float = 0.2) -> Tensor:
    """Hinge violations of both directions, the mean over the batch (METHODS.md 3 and 4).

        (1 − τ) Σ_negatives [α − s⁺ + s⁻]₊ + τ max over negatives [α − s⁺ + s⁻]₊

    hardest: τ. With 1 it is the hardest-negative loss of VSE++ (Faghri et al. 2018, eq. 6) that
    SCAN and SGRAF use, with 0 the sum; ADAPT goes from the one to the other (`hardest_share`).
    """
    right = scores.diagonal()
    total = scores.new_zeros(())
    for found in (scores, scores.T):
        costs = F.relu(margin - right[:, None] + found) * free
        total = total + (1 - hardest) * costs.sum(dim=1) + hardest * costs.amax(dim=1)
    return total.mean()


def hardest_share(iteration: int, eta: float = 0.991) -> float:
    """ADAPT's τ = 1 − η^iteration: all negatives at first, soon only the hardest."""
    return 1 - eta**iteration
