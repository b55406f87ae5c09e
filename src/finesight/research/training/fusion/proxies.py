"""What a fusion is asked while it trains: texts, or embeddings that stand for them.

Proxies are rows (t, d) of L2-normalised embeddings. Every step gets a fresh sample, so that many
kinds can be used at once and no list has to fit into a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from finesight.encoders import Encoder
from finesight.errors import InputError
from finesight.research.training.features import FeatureCache

TEMPLATES = (
    "a photo of a {}",
    "{}",
    "a photo of the {}",
    "an image of a {}",
    "a picture of a {}",
    "there is a {} in the image",
    "a close-up photo of a {}",
    "a photo of a small {}",
)
"""What a class or a word of a vocabulary is put into; every template's text is its own proxy."""

NOTHING = ("a photo of nothing", "a photo of the floor", "part of something")
"""The texts for a region in which there is nothing to find, or only a part of something."""

KINDS = ("texts", "directions", "patches")
"""texts: named things; directions: random mixes of texts; patches: regions of the same batch."""


@dataclass(frozen=True)
class Proxies:
    """Samples proxies for a batch.

    texts: (n, d), or none where only patches are wanted; shares: how many of a step's proxies are
    of each of KINDS; nothing: (m, d), the texts for regions that show nothing; words: how
    many there are: so many of the texts, the first, say each in one way.
    """

    texts: Tensor | None
    shares: dict[str, int]
    nothing: Tensor | None = None
    words: int = 0

    def sample(self, regions: Tensor, there: Tensor, generator: torch.Generator) -> Tensor:
        """Return proxies (t, d) for a batch of regions (b, p, d), there (b, p)."""
        parts = []
        for kind, count in self.shares.items():
            if kind == "patches":
                rows = regions[there]
                parts.append(rows[torch.randint(len(rows), (count,), generator=generator)])
            elif self.texts is not None:
                parts.append(_texts(self.texts, kind, count, generator))
        return torch.cat(parts)

    @property
    def begin_with(self) -> tuple[int, int]:
        """How many texts for things and for nothing a network of clusters may begin with."""
        if self.texts is None or self.nothing is None:
            return 0, 0
        return min(self.words, MOST_DIRECTIONS), len(self.nothing)

    def directions(self, count: int, cache: FeatureCache) -> tuple[Tensor, Tensor, float]:
        """Return what a network of clusters begins with (SalientClusters.begin).

        The first `count` texts, those for nothing, and the cosine to it below which a region
        shows something: a share of the median over some of the images.
        """
        if self.texts is None or self.nothing is None or len(self.texts) < count:
            raise InputError(f"{count} texts are needed to tell things from nothing")
        some = range(0, len(cache), max(1, len(cache) // 64))
        regions = torch.from_numpy(np.concatenate([cache[i].embeddings for i in some]))
        median = (regions @ self.nothing.T).amax(dim=-1).median().item()
        return self.texts[:count], self.nothing, NAMELESS * median


MOST_DIRECTIONS = 1024  # that a network keeps; a longer vocabulary still trains it

# A region shows something when "nothing" says less of it than this share of what it says of most.
NAMELESS = 0.95


def _texts(texts: Tensor, kind: str, count: int, generator: torch.Generator) -> Tensor:
    if kind == "texts":
        if count >= len(texts):
            return texts
        return texts[torch.randperm(len(texts), generator=generator)[:count]]
    # A direction between a few texts stands for a word that lies among the known ones.
    chosen = texts[torch.randint(len(texts), (count, 3), generator=generator)]
    weights = torch.empty(count, 3).exponential_(generator=generator)
    return F.normalize((chosen * weights[..., None]).sum(dim=1), dim=-1)


def build_proxies(
    encoder: Encoder, words: Sequence[str], shares: dict[str, int], templates: Sequence[str]
) -> Proxies:
    """Encode words in every template; raises InputError for no words where texts are wanted."""
    unknown = set(shares) - set(KINDS)
    if unknown:
        raise InputError(f"unknown proxies {', '.join(sorted(unknown))}: use {', '.join(KINDS)}")
    wanted = any(count for kind, count in shares.items() if kind != "patches")
    if not wanted:
        return Proxies(None, shares)
    if not words:
        raise InputError("there is no word to train with: give a vocabulary of one word a line")
    texts = [template.format(word) for template in templates for word in words]
    embeddings = [encoder.encode_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)]
    nothing = torch.from_numpy(encoder.encode_texts(NOTHING))
    return Proxies(torch.from_numpy(np.concatenate(embeddings)), shares, nothing, len(words))
