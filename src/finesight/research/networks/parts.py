"""The towers of matchers: regions and words become parts of one space, before they meet.

Both are as SCAN has them (Lee et al. 2018, "Stacked Cross Attention for Image-Text Matching",
section 3.1; METHODS.md 4): a linear layer over region features, and word embeddings through a
bidirectional GRU whose two directions are averaged. Parts are of length 1; a part that is only
padding is zero.

Shapes: b images, p regions, t texts, w words, h hidden width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1  # of every LeakyReLU of SCAN and ADAPT
_SMALL = 1e-24


class RegionParts(nn.Module):
    """A linear layer over the features of each region, for ADAPT with a LeakyReLU behind it."""

    def __init__(self, width: int, hidden: int, activation: bool = False) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.activation = nn.LeakyReLU(SLOPE) if activation else nn.Identity()
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, regions: Tensor, there: Tensor) -> Tensor:
        """Regions (b, p, width) and which of them are there (b, p) → parts (b, p, h)."""
        parts = F.normalize(self.activation(self.project(regions)), dim=-1)
        return parts * there[..., None].to(parts.dtype)


class WordGru(nn.Module):
    """Word embeddings through a GRU in either direction; padding changes nothing.

    known: vectors (vocabulary, c) that stay as they are, such as GloVe's, beside the trained ones.
    """

    known: Tensor

    def __init__(
        self, vocabulary: int, word_width: int, hidden: int, known: Tensor | None = None
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, word_width)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        self.register_buffer("known", torch.zeros(vocabulary, 0) if known is None else known)
        inputs = word_width + self.known.shape[1]
        self.onward = nn.GRU(inputs, hidden, batch_first=True)
        self.back = nn.GRU(inputs, hidden, batch_first=True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w), 1 where there is a word → parts (t, w, h).

        The words of each text are reversed within its own length, so that the GRU that reads
        backwards never meets padding; the other one has it behind the last word.
        """
        words = self.embed(input_ids)
        if self.known.shape[1]:
            words = torch.cat([self.known[input_ids], words], dim=-1)
        places = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        counts = attention_mask.sum(dim=1, keepdim=True)
        reverse = torch.where(places < counts, counts - 1 - places, places)[..., None]
        hidden = self.onward.hidden_size
        begin = words.new_zeros(1, input_ids.shape[0], hidden)
        onward, _ = self.onward(words, begin)
        back, _ = self.back(words.gather(1, reverse.expand(-1, -1, words.shape[-1])), begin)
        states = (onward + back.gather(1, reverse.expand(-1, -1, hidden))) / 2
        # Not F.normalize, whose export keeps the number of words of the example.
        states = states * states.square().sum(dim=-1, keepdim=True).clamp(min=_SMALL).rsqrt()
        return states * attention_mask[..., None].to(states.dtype)


class TokenParts(nn.Module):
    """The states that a frozen text tower gives its tokens, through a linear layer.

    tower: takes ids and mask (t, w) and gives states (t, w, width).
    """

    def __init__(self, tower: nn.Module, width: int, hidden: int) -> None:
        super().__init__()
        self.tower = tower.requires_grad_(False).eval()
        self.project = nn.Linear(width, hidden)

    def train(self, mode: bool = True) -> TokenParts:
        """Switch to training, the frozen tower left out."""
        super().train(mode)
        self.tower.eval()
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w) → parts (t, w, h)."""
        states = self.project(self.tower(input_ids, attention_mask))
        return F.normalize(states, dim=-1) * attention_mask[..., None].to(states.dtype)
