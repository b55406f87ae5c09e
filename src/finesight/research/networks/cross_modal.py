"""A cross-modal encoder: the words of a text attend to each other and to the parts of an image.

Shapes: b texts, each beside its image; w words; p parts of an image; d width.
"""

from __future__ import annotations

from torch import Tensor, nn

from finesight.research.networks.masking import attend


class CrossLayer(nn.Module):
    """Self-attention of the words, attention to the image's parts, feed-forward; each pre-norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.within = nn.Linear(width, 3 * width)
        self.within_merge = nn.Linear(width, width)
        self.ask = nn.Linear(width, width)
        self.answer = nn.Linear(width, 2 * width)
        self.ask_merge = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, words: Tensor, there: Tensor, parts: Tensor) -> Tensor:
        """Words (b, w, d), which there are (b, 1, 1, w), parts (b, p, d) → words (b, w, d)."""
        query, key, value = self.within(self.norms[0](words)).chunk(3, dim=-1)
        words = words + self.within_merge(attend(query, key, value, self.heads, there))
        key, value = self.answer(parts).chunk(2, dim=-1)
        asked = self.ask(self.norms[1](words))
        words = words + self.ask_merge(attend(asked, key, value, self.heads, None))
        return words + self.feed(self.norms[2](words))


class CrossModalEncoder(nn.Module):
    """Some layers over the words' states; what it says of the pair stands at the first word."""

    def __init__(self, width: int, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.parts_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(CrossLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, words: Tensor, mask: Tensor, parts: Tensor) -> Tensor:
        """Words (b, w, d), mask (b, w), parts (b, p, d) → words that saw the image (b, w, d).

        The first word must be there in every text, as the begin token is.
        """
        parts, there = self.parts_norm(parts), mask.bool()[:, None, None, :]
        for layer in self.layers:
            words = layer(words, there, parts)
        return self.norm(words)
