"""SCAN: the parts of one side are attended to by each part of the other.

Lee, Chen, Hua, Hu and He 2018, "Stacked Cross Attention for Image-Text Matching" (METHODS.md 4).
With s_ij the cosine of region i and word j, text to image:

    s̄_ij = LeakyReLU(s_ij) / ‖LeakyReLU(s_i·)‖₂ over the words          (eq. 1, as its code has it)
    α_ij = softmax over regions (λ s̄_ij)                                (eq. 2 and 3, λ 9)
    c_j = Σ_i α_ij v_i,   r_j = cos(c_j, e_j),   score = mean_j r_j or LSE(r)   (eq. 4 to 6)

and image to text with the roles of regions and words exchanged (eq. 7 to 10, λ 4). LSE(r) is
log(Σ_j exp(λ₂ r_j)) / λ₂.

No context c is ever made. A cosine does not know its scale, so E_ij = exp(λ s̄_ij) serves as α, and

    r_j = Σ_i E_ij s_ij / √(E_·jᵀ G E_·j),   G = V Vᵀ the regions' products (p, p)

as the parts are of length 1. Parts of padding are zero, so are their products, and they drop out of
every sum by themselves; only the pooling needs the mask.
"""

import torch.nn.functional as F
from torch import Tensor

from finesight.research.networks.matcher import SLOPE, Matcher

_SMALL = 1e-8


class _Scan(Matcher):
    """What both directions share: the pooling, and the factors of the paper."""

    smooth: float
    lse: float

    def pooled(self, cosines: Tensor, mask: Tensor) -> Tensor:
        """Cosines (b, t, parts) of the query's parts, broadcast mask → scores (b, t)."""
        if self.settings.pooling == "mean":
            there = mask.to(cosines.dtype)
            return (cosines * there).sum(dim=-1) / there.sum(dim=-1).clamp(min=1)
        factor = self.settings.lse or self.lse
        return (factor * cosines).masked_fill(~mask, float("-inf")).logsumexp(dim=-1) / factor

    @property
    def factor(self) -> float:
        """λ of the softmax."""
        return self.smooth if self.settings.smooth is None else self.settings.smooth


class ScanTextToImage(_Scan):
    """Each word attends to the regions (eq. 1 to 6)."""

    smooth, lse = 9.0, 6.0

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        return self.pooled(attended_cosines(parts, words, self.factor), mask[None])


class ScanImageToText(_Scan):
    """Each region attends to the words (eq. 7 to 10); METHODS.md has the factors."""

    smooth, lse = 4.0, 5.0

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        cosines = attended_cosines(words, parts, self.factor).transpose(0, 1)
        return self.pooled(cosines, there[:, None])


def attention(keys: Tensor, queries: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    """Products and weights E (n, k, m, q), of the k parts of n keys for the q parts of m queries.

    keys (n, k, h), queries (m, q, h), of length 1; smooth: λ. Weights are not normalised over keys.
    """
    (n, k, h), (m, q, _) = keys.shape, queries.shape
    products = (keys.reshape(n * k, h) @ queries.reshape(m * q, h).T).view(n, k, m, q)
    alike = F.leaky_relu(products, SLOPE)
    lengths = alike.square().sum(dim=3, keepdim=True).clamp(min=_SMALL**2).rsqrt()
    return products, (alike * (smooth * lengths)).exp()


def attended_cosines(keys: Tensor, queries: Tensor, smooth: float) -> Tensor:
    """r (n, m, q): each query part's cosine with the keys that it attends to; see above."""
    products, weights = attention(keys, queries, smooth)
    n, k, m, q = weights.shape
    gram = keys @ keys.transpose(1, 2)
    spread = (gram @ weights.view(n, k, m * q)).view(n, k, m, q)
    length = (weights * spread).sum(dim=1).clamp(min=_SMALL).sqrt()
    return (weights * products).sum(dim=1) / length
