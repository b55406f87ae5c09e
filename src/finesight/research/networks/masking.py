"""Means, shares and attention over the parts that are there: padding takes no part."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def masked_mean(parts: Tensor, mask: Tensor) -> Tensor:
    """The mean (n, h) of those of parts (n, m, h) that are there (n, m)."""
    there = mask[..., None].to(parts.dtype)
    return (parts * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)


def masked_softmax(logits: Tensor, mask: Tensor, dim: int) -> Tensor:
    """The softmax along an axis over what is there; mask: broadcast against the logits.

    One number at least must be there.
    """
    return logits.masked_fill(~mask, -torch.inf).softmax(dim=dim)


def masked_norm(norm: nn.BatchNorm1d, parts: Tensor, mask: Tensor) -> Tensor:
    """A batch norm of parts (..., h), whose statistics leave out what is not there (...)."""
    if norm.training:
        normed = torch.zeros_like(parts)
        normed[mask] = norm(parts[mask])
        return normed
    # Not by a reshape, whose export keeps the number of parts of the example.
    statistics = norm.running_mean, norm.running_var
    found = F.batch_norm(parts.movedim(-1, 1), *statistics, norm.weight, norm.bias, eps=norm.eps)
    return found.movedim(1, -1)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """Attention of several heads: query (b, q, d), key and value (b, k, d) → (b, q, d).

    mask: broadcast against (b, heads, q, k), boolean or added to the logits.
    """
    q, k, v = (each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
