"""Means and shares over the parts that are there: what is only padding takes no part."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(parts: Tensor, mask: Tensor) -> Tensor:
    """The mean (n, h) of those of parts (n, m, h) that are there (n, m)."""
    there = mask[..., None].to(parts.dtype)
    return (parts * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)


def masked_softmax(logits: Tensor, mask: Tensor, dim: int) -> Tensor:
    """The softmax along an axis over what is there; mask: broadcast against the logits.

    One number at least must be there.
    """
    return logits.masked_fill(~mask, -torch.inf).softmax(dim=dim)


def masked_max(parts: Tensor, mask: Tensor, dim: int) -> Tensor:
    """The maxima along an axis of what is there; mask: broadcast against the parts."""
    return parts.masked_fill(~mask, -torch.inf).amax(dim=dim)
