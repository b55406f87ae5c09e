"""ADAPT: the whole of one side modulates the parts of the other.

Wehrmann, Kolling and Barros 2020, "Adaptive Cross-Modal Embeddings for Image-Text Alignment"
(METHODS.md 3). With a the mean of the query's parts and B (n, d) the values of the other side after
a batch norm without affine parameters:

    γ = W_γ a + b_γ,   β = W_β a + b_β,   B̄_i = B_i ⊙ (γ + 1) + β
    M_ij = softmax over parts i of (λ B̄_ij)                          (the fovea, for each feature j)
    b̄ = pool over parts of (M ⊙ B̄),   score = cos(a, b̄)

ADAPT-T2I: the text adapts the regions, pool is the mean; ADAPT-I2T: the image adapts the words,
pool is the maximum. Without the fovea M is 1.

Two things follow, which `scores` uses. β_j is the same for every part, so it drops out of the
softmax; and M sums to 1, so for the mean b̄ ∝ (γ + 1) ⊙ Σ_i M_i ⊙ B_i + β, of which a cosine does
not know the scale. Without the fovea the mean is of B alone, and a score is three dot products.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.masking import masked_max, masked_mean, masked_softmax
from finesight.research.networks.matcher import Matcher, MatcherSettings, groups_by_length

_SMALL = 1e-12


class _Adapt(Matcher):
    """What both directions share: the modulation and λ."""

    leaky = True
    apart = False  # of the batch norm

    def build(self, settings: MatcherSettings) -> None:
        """Add what is learned of how the parts meet."""
        hidden = settings.hidden
        self.norm = nn.BatchNorm1d(hidden, affine=False)
        self.scale = nn.Linear(hidden, hidden)
        self.shift = nn.Linear(hidden, hidden)
        smooth = torch.tensor(10.0 if settings.smooth is None else settings.smooth)
        self.smooth = nn.Parameter(smooth, requires_grad=settings.learned)

    def values(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Parts (n, m, h) after the batch norm, whose statistics leave padding out."""
        if not self.training:  # written out, as the export of a reshape keeps the example's words
            mean, variance = self.norm.running_mean, self.norm.running_var
            assert mean is not None and variance is not None
            return (parts - mean) * (variance + self.norm.eps).rsqrt()
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
    """The text adapts the regions, whose parts are the values B at once."""

    def images(self, regions: Tensor, there: Tensor) -> Tensor:
        """Regions (b, p, width) and which of them are there (b, p) → values (b, p, h)."""
        return self.values(self.regions(regions, there), there)

    def parts(self, regions: int, words: int) -> int:
        """The regions."""
        return regions

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Values (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        asked = masked_mean(words, mask)
        scale, shift = self.scale(asked) + 1, self.shift(asked)
        if not self.settings.fovea:
            return _modulated_mean(asked, scale, shift, masked_mean(parts, there))
        slopes = self.smooth * scale
        if self.training:
            kept: Tensor = _FoveaMean.apply(parts, there, slopes)
        else:
            kept = fovea_mean(parts[:, None], there[:, None], slopes[None])
        return F.cosine_similarity(asked, scale * kept + shift, dim=-1, eps=_SMALL)


class AdaptImageToText(_Adapt):
    """The image adapts the words, whose parts are the values B at once."""

    def words(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w) → values (t, w, h)."""
        return self.values(self.text(input_ids, attention_mask), attention_mask.bool())

    def parts(self, regions: int, words: int) -> int:
        """The words."""
        return words

    def numbers(self, regions: int, words: int) -> int:
        """A number for each feature of each word, as a maximum knows no shorter way."""
        return self.settings.hidden * words

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), values (t, w, h), mask (t, w) → scores (b, t)."""
        asked = masked_mean(parts, there)
        scale, shift = self.scale(asked) + 1, self.shift(asked)
        if not self.training:
            adapted = words * scale[:, None, None] + shift[:, None, None]  # (b, t, w, h)
            smooth = self.smooth if self.settings.fovea else None
            pooled = fovea_max(adapted, mask[None], smooth)
            return F.cosine_similarity(asked[:, None], pooled, dim=-1, eps=_SMALL)
        pooled = words.new_zeros(len(parts), *words.shape[::2])
        for places, longest in groups_by_length(mask):
            some, here = words[places, :longest], mask[places, :longest]
            pooled[:, places] = _FoveaMax.apply(
                some, here, scale, shift, self.smooth, self.settings.fovea
            )
        return F.cosine_similarity(asked[:, None], pooled, dim=-1, eps=_SMALL)


def fovea_mean(values: Tensor, there: Tensor, slopes: Tensor) -> Tensor:
    """Σ_i softmax_i(s V_i) ⊙ V_i: V (..., p, h), there (..., p), s (..., h) → (..., h)."""
    shares = masked_softmax(values * slopes[..., None, :], there[..., None], dim=-2)
    return (shares * values).sum(dim=-2)


class _FoveaMean(torch.autograd.Function):
    """`fovea_mean` of every image with every text, one image after the other.

    Nothing with a number for each feature of each part of each pair is kept for the way back, or
    ever made for more than one image: K = Σ M V has ∂K/∂s = Σ M (V − K)² and ∂K/∂V_i =
    M_i (1 + s (V_i − K)).
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, there: Tensor, slopes: Tensor) -> Tensor:
        """Values (b, p, h), there (b, p), slopes (t, h) → (b, t, h)."""
        ctx.save_for_backward(values, there, slopes)
        rows = [
            fovea_mean(v[h][None], h[h][None], slopes) for v, h in zip(values, there, strict=True)
        ]
        return torch.stack(rows)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None, Tensor]:
        """The gradients of values and slopes."""
        values, there, slopes = ctx.saved_tensors
        of_values, of_slopes = torch.zeros_like(values), torch.zeros_like(slopes)
        for place, here in enumerate(there):
            part = values[place, here]  # (p, h)
            shares = (part * slopes[:, None]).softmax(dim=1)  # (t, p, h)
            apart = part - (shares * part).sum(dim=1, keepdim=True)
            weighed = shares.mul_(given[place][:, None])
            of_slopes += (weighed * apart.square()).sum(dim=1)
            of_values[place, here] = (apart.mul_(slopes[:, None]).add_(1) * weighed).sum(dim=0)
        return of_values, None, of_slopes


def fovea_max(adapted: Tensor, there: Tensor, smooth: Tensor | None) -> Tensor:
    """max_i (softmax_i(λ B̄_i) ⊙ B̄_i), or max_i B̄_i without λ: B̄ (..., w, h), there (..., w)."""
    if smooth is not None:
        adapted = masked_softmax(smooth * adapted, there[..., None], dim=-2) * adapted
    return masked_max(adapted, there[..., None], dim=-2)


class _FoveaMax(torch.autograd.Function):
    """`fovea_max` of every text adapted by every image, one image after the other.

    As of _FoveaMean. Where word v has the maximum b̄ = M_v B̄_v, ∂b̄/∂B̄_w = −λ b̄ M_w, and for w = v
    M_v + λ b̄ more; ∂b̄/∂λ = b̄ (B̄_v − Σ M B̄).
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        there: Tensor,
        scale: Tensor,
        shift: Tensor,
        smooth: Tensor,
        fovea: bool,
    ) -> Tensor:
        """Values (t, w, h), there (t, w), γ + 1 and β (b, h), λ () → (b, t, h)."""
        ctx.save_for_backward(values, there, scale, shift, smooth)
        ctx.fovea = fovea
        factor = smooth if fovea else None
        rows = [fovea_max(values * g + b, there, factor) for g, b in zip(scale, shift, strict=True)]
        return torch.stack(rows)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of values, scale, shift and smooth."""
        values, there, scale, shift, smooth = ctx.saved_tensors
        of_values, of_smooth = torch.zeros_like(values), torch.zeros_like(smooth)
        of_scale, of_shift = torch.zeros_like(scale), torch.zeros_like(shift)
        hidden = ~there[..., None]
        for place, (gain, bias) in enumerate(zip(scale, shift, strict=True)):
            adapted, along = values * gain + bias, given[place][:, None]  # (t, w, h), (t, 1, h)
            if ctx.fovea:
                shares = masked_softmax(smooth * adapted, there[..., None], dim=1)
                weighed = shares * adapted
                best = weighed.masked_fill(hidden, float("-inf")).argmax(dim=1, keepdim=True)
                found = weighed.gather(1, best)
                more = along * (shares.gather(1, best) + smooth * found)
                ahead = adapted.gather(1, best) - weighed.sum(dim=1, keepdim=True)
                of_smooth += (along * found * ahead).sum()
                change = shares.mul_(along * found * -smooth).scatter_add_(1, best, more)
            else:
                best = adapted.masked_fill(hidden, float("-inf")).argmax(dim=1, keepdim=True)
                change = torch.zeros_like(adapted).scatter_(1, best, along)
            of_values += change * gain
            of_scale[place] = (change * values).sum(dim=(0, 1))
            of_shift[place] = change.sum(dim=(0, 1))
        return of_values, None, of_scale, of_shift, of_smooth, None


def _modulated_mean(asked: Tensor, scale: Tensor, shift: Tensor, mean: Tensor) -> Tensor:
    """cos(a, (γ + 1) ⊙ m + β) for a, γ + 1, β (t, h) and m (b, h) → (b, t), by three products."""
    along = mean @ (asked * scale).T + (asked * shift).sum(dim=1)
    squared = mean.square() @ scale.square().T + 2 * mean @ (scale * shift).T
    length = (squared + shift.square().sum(dim=1)).clamp(min=_SMALL).sqrt()
    return along / (length * asked.norm(dim=1).clamp(min=_SMALL))
