"""Losses between a batch of images and a batch of texts.

Shapes: b images, t texts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def multi_positive_info_nce(scores: Tensor, content: Tensor) -> Tensor:
    """InfoNCE in which an image may match many texts, and a text many images.

    `scores` (b, t) are scaled similarities; `content` (b, t) says whether the text is true of the
    image: 1 it is, 0 it is not, −1 it is hard to say and the pair takes no part. Every matching
    pair stands against the pairs of its row (then of its column) that do not match, and never
    against another match:

        −log( exp(s⁺) / (exp(s⁺) + Σ_negatives exp(s⁻)) )

    averaged over the matches of a row, then over the rows that have one. With one match in each row
    this is InfoNCE (van den Oord et al. 2018, equation 4) as CLIP uses it in both directions; for
    several it is the outer sum of Khosla et al. 2020 ("Supervised Contrastive Learning", equation
    2) with the other matches left out of the denominator.
    """
    return (_one_direction(scores, content) + _one_direction(scores.T, content.T)) / 2


def _one_direction(scores: Tensor, content: Tensor) -> Tensor:
    matches = content > 0
    # A finite floor: the logarithm of a sum over no negatives at all would have no gradient.
    floor = torch.finfo(scores.dtype).min / 4
    against = scores.masked_fill(content != 0, floor).logsumexp(dim=1, keepdim=True)
    losses = F.softplus(against - scores) * matches
    counts = matches.sum(dim=1)
    rows = losses.sum(dim=1) / counts.clamp(min=1)
    return rows.sum() / (counts > 0).sum().clamp(min=1)
