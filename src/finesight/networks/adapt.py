"""ADAPT: the whole of one side modulates the parts of the other.

Wehrmann, Kolling and Barros 2020, "Adaptive Cross-Modal Embeddings for Image-Text Alignment"
(METHODS.md 3). With a the mean of the query's parts and B (n, d) the values of the other side after
a batch norm without affine parameters:

    γ = W_γ a + b_γ,   β = W_β a + b_β,   B̄_i = B_i ⊙ (γ + 1) + β
    M_ij = softmax over parts i of (λ B̄_ij)                           (the fovea, for each feature j)
    b̄ = pool over parts of (M ⊙ B̄),   score = cos(a, b̄)

ADAPT-T2I: the text adapts the regions, pool is the mean; ADAPT-I2T: the image adapts the words,
pool is the maximum. Without the fovea M is 1.

Two things follow, which `scores` uses. β_j is the same for every part, so it drops out of the
softmax; and M sums to 1, so for the mean b̄ ∝ (γ + 1) ⊙ Σ_i M_i ⊙ B_i + β, of which a cosine does
not know the scale. Without the fovea the mean is of B alone, and a score is three dot products.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.networks.matcher import Matcher, MatcherSettings, masked_mean

_SMALL = 1e-12


class _Adapt(Matcher):
    """What both directions share: the modulation and λ."""

    leaky = True

    def __init__(
        self,
        settings: MatcherSettings,
        tower: nn.Module | None = None,
        known: Tensor | None = None,
    ) -> None:
        super().__init__(settings, tower, known)
        hidden = settings.hidden
        self.norm = nn.BatchNorm1d(hidden, affine=False)
        self.scale = nn.Linear(hidden, hidden)
        self.shift = nn.Linear(hidden, hidden)
        smooth = torch.tensor(10.0 if settings.smooth is None else settings.smooth)
        self.smooth = nn.Parameter(smooth, requires_grad=settings.learned)

    def values(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Parts (n, m, h) after the batch norm, whose statistics leave padding out."""
        if not self.training:
            return self.norm(parts.flatten(0, 1)).view_as(parts)
        values = torch.zeros_like(parts)
        values[mask] = self.norm(parts[mask])
        return values

    def numbers(self, regions: int, words: int) -> int:
        """A number for each feature of each part of the adapted side."""
        return self.settings.hidden * (self.parts(regions, words) if self.settings.fovea else 1)

    def parts(self, regions: int, words: int) -> int:
        """How many parts the adapted side has."""
        raise NotImplementedError


class AdaptTextToImage(_Adapt):
    """The text adapts the regions."""

    def parts(self, regions: int, words: int) -> int:
        """The regions."""
        return regions

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        asked = masked_mean(words, mask)
        scale, shift = self.scale(asked) + 1, self.shift(asked)
        values = self.values(parts, there)
        if not self.settings.fovea:
            return _modulated_mean(asked, scale, shift, masked_mean(values, there))
        logits = values[:, None] * (self.smooth * scale)[None, :, None]  # (b, t, p, h)
        logits = logits.masked_fill(~there[:, None, :, None], float("-inf"))
        kept = (logits.softmax(dim=2) * values[:, None]).sum(dim=2)
        return F.cosine_similarity(asked, scale * kept + shift, dim=-1, eps=_SMALL)


class AdaptImageToText(_Adapt):
    """The image adapts the words."""

    def parts(self, regions: int, words: int) -> int:
        """The words."""
        return words

    def numbers(self, regions: int, words: int) -> int:
        """A number for each feature of each word, as a maximum knows no shorter way."""
        return self.settings.hidden * words

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        asked = masked_mean(parts, there)
        scale, shift = self.scale(asked) + 1, self.shift(asked)
        adapted = self.values(words, mask) * scale[:, None, None] + shift[:, None, None]
        hidden = ~mask[None, :, :, None]  # adapted: (b, t, w, h)
        if self.settings.fovea:
            logits = (self.smooth * adapted).masked_fill(hidden, float("-inf"))
            adapted = logits.softmax(dim=2) * adapted
        pooled = adapted.masked_fill(hidden, float("-inf")).amax(dim=2)
        return F.cosine_similarity(asked[:, None], pooled, dim=-1, eps=_SMALL)


def _modulated_mean(asked: Tensor, scale: Tensor, shift: Tensor, mean: Tensor) -> Tensor:
    """cos(a, (γ + 1) ⊙ m + β) for a, γ + 1, β (t, h) and m (b, h) → (b, t), by three products."""
    along = mean @ (asked * scale).T + (asked * shift).sum(dim=1)
    squared = mean.square() @ scale.square().T + 2 * mean @ (scale * shift).T
    length = (squared + shift.square().sum(dim=1)).clamp(min=_SMALL).sqrt()
    return along / (length * asked.norm(dim=1).clamp(min=_SMALL))
