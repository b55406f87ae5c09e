"""Losses of a fusion: the fused vectors should answer a text as all the regions together do.

For text proxies T (t, d), regions P (b, p, d) and fused vectors F (b, k, d), the target is
S = max_p T·P and the answer A = max_k T·F, both (b, t). METHODS.md 1 has the paper's losses; the
others are ours and need no label either.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def best_scores(texts: Tensor, vectors: Tensor, there: Tensor | None = None) -> Tensor:
    """The best cosine of any vector: texts (t, d), vectors (b, k, d), there (b, k) → (b, t)."""
    scores = vectors @ texts.T
    if there is not None:
        scores = scores.masked_fill(~there[..., None], float("-inf"))
    return scores.amax(dim=1)


def mean_squared(target: Tensor, answer: Tensor) -> Tensor:
    """The paper's query proxy loss, 100 · MSE."""
    return 100 * F.mse_loss(answer, target)


def mean_absolute(target: Tensor, answer: Tensor) -> Tensor:
    """The query proxy loss with L1, which the authors' code offers."""
    return 100 * F.l1_loss(answer, target)


def jensen_shannon(target: Tensor, answer: Tensor, temperature: float = 0.05) -> Tensor:
    """The query proxy loss as a divergence of each image's distributions over the texts."""
    first = (target / temperature).log_softmax(dim=1)
    second = (answer / temperature).log_softmax(dim=1)
    middle = torch.logaddexp(first, second) - torch.tensor(2.0).log()
    apart = [F.kl_div(middle, side, reduction="sum", log_target=True) for side in (first, second)]
    return (apart[0] + apart[1]) / (2 * len(target))


def rank_preserving(target: Tensor, answer: Tensor, temperature: float = 0.05) -> Tensor:
    """KL divergence, per text, of the distributions over the batch's images.

    A search ranks images for one text, so their differences matter and their level does not.
    """
    wanted = (target / temperature).log_softmax(dim=0)
    found = (answer / temperature).log_softmax(dim=0)
    return F.kl_div(found, wanted, reduction="sum", log_target=True) / target.shape[1]


def diversity(vectors: Tensor) -> Tensor:
    """The mean squared cosine of two different vectors of an image (b, k, d); 0 for k = 1."""
    count = vectors.shape[1]
    if count == 1:
        return vectors.new_zeros(())
    cosines = vectors @ vectors.transpose(1, 2)
    off = cosines - torch.eye(count, device=vectors.device)
    return off.square().sum(dim=(1, 2)).mean() / (count * (count - 1))


def global_meaning(vectors: Tensor, whole: Tensor) -> Tensor:
    """How far the nearest vector (b, k, d) is from the whole-image embedding (b, d): mean 1 − cos.

    It keeps what the image as a whole says among the details.
    """
    return (1 - (vectors @ whole[..., None])[..., 0].amax(dim=1)).mean()


TARGET_LOSSES = {
    "mse": mean_squared,
    "l1": mean_absolute,
    "js": jensen_shannon,
    "rank": rank_preserving,
}
"""Losses of target and answer, by name."""
