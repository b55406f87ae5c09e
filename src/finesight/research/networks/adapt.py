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

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from finesight.research.networks.masking import masked_mean, masked_norm, masked_softmax
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


class AdaptTextToImage(_Adapt):
    """The text adapts the regions, whose parts are the values B at once."""

    def images(self, regions: Tensor, there: Tensor) -> Tensor:
        """Regions (b, p, width) and which of them are there (b, p) → values (b, p, h)."""
        return masked_norm(self.norm, self.regions(regions, there), there)

    def numbers(self, regions: int, words: int) -> int:
        """A number for each feature of each region, or for each feature without the fovea."""
        return self.settings.hidden * (regions if self.settings.fovea else 1)

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Values (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        asked = masked_mean(words, mask)
        scale, shift = self.scale(asked) + 1, self.shift(asked)
        if not self.settings.fovea:
            return _modulated_mean(asked, scale, shift, masked_mean(parts, there))
        slopes = self.smooth * scale
        if self.training:
            rows = zip(parts, there, strict=True)
            kept = torch.stack([_again(fovea_mean, v[h], h[h], slopes) for v, h in rows])
        else:
            kept = fovea_mean(parts[:, None], there[:, None], slopes[None])
        return F.cosine_similarity(asked, scale * kept + shift, dim=-1, eps=_SMALL)


class AdaptImageToText(_Adapt):
    """The image adapts the words, whose parts are the values B at once."""

    def words(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w) → values (t, w, h)."""
        words = self.text(input_ids, attention_mask)
        return masked_norm(self.norm, words, attention_mask.bool())

    def numbers(self, regions: int, words: int) -> int:
        """A number for each feature of each word, as a maximum knows no shorter way."""
        return self.settings.hidden * words

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), values (t, w, h), mask (t, w) → scores (b, t)."""
        asked = masked_mean(parts, there)
        scale, shift = self.scale(asked) + 1, self.shift(asked)
        smooth = self.smooth if self.settings.fovea else None
        if not self.training:
            pooled = fovea_max(words, mask, scale[:, None], shift[:, None], smooth)
            return F.cosine_similarity(asked[:, None], pooled, dim=-1, eps=_SMALL)
        pooled = words.new_zeros(len(parts), *words.shape[::2])
        for places, some, here in groups_by_length(words, mask):
            rows = zip(scale, shift, strict=True)
            found = [_again(fovea_max, some, here, gain, bias, smooth) for gain, bias in rows]
            pooled[:, places] = torch.stack(found)
        return F.cosine_similarity(asked[:, None], pooled, dim=-1, eps=_SMALL)


def fovea_mean(values: Tensor, there: Tensor, slopes: Tensor) -> Tensor:
    """Σ_i softmax_i(s V_i) ⊙ V_i: V (..., p, h), there (..., p), s (..., h) → (..., h)."""
    shares = masked_softmax(values * slopes[..., None, :], there[..., None], dim=-2)
    return (shares * values).sum(dim=-2)


def fovea_max(
    values: Tensor, there: Tensor, scale: Tensor, shift: Tensor, smooth: Tensor | None
) -> Tensor:
    """max_i (softmax_i(λ B̄_i) ⊙ B̄_i), or max_i B̄_i without λ: (..., h).

    Values (..., w, h), there (..., w); γ + 1 and β (..., h).
    """
    adapted = values * scale[..., None, :] + shift[..., None, :]
    if smooth is not None:
        adapted = masked_softmax(smooth * adapted, there[..., None], dim=-2) * adapted
    return adapted.masked_fill(~there[..., None], -torch.inf).amax(dim=-2)


def _again(pool: Callable[..., Tensor], *given: Tensor | None) -> Tensor:
    """Pool, and do so once more on the way back, so that nothing within is kept until then.

    Done for one image at a time, there is never a number for each feature of each part of each
    pair.
    """
    found: Tensor = checkpoint(pool, *given, use_reentrant=False, preserve_rng_state=False)
    return found


def _modulated_mean(asked: Tensor, scale: Tensor, shift: Tensor, mean: Tensor) -> Tensor:
    """cos(a, (γ + 1) ⊙ m + β) for a, γ + 1, β (t, h) and m (b, h) → (b, t), by three products."""
    along = mean @ (asked * scale).T + (asked * shift).sum(dim=1)
    squared = mean.square() @ scale.square().T + 2 * mean @ (scale * shift).T
    length = (squared + shift.square().sum(dim=1)).clamp(min=_SMALL).sqrt()
    return along / (length * asked.norm(dim=1).clamp(min=_SMALL))
