"""Scores of all images with all texts, block by block, on whatever device the matcher is.

The towers run once for each image and each text. Texts are sorted by their length, so that a block
has hardly any padding, and a block holds as many images and texts as keep its largest tensor near
`numbers`: memory does not grow with the gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.research.networks.matcher import Matcher

CPU_NUMBERS = 2**20  # of a block's largest tensor: what stays in the caches
GPU_NUMBERS = 2**28


@dataclass(frozen=True)
class Encoded:
    """The parts of n images or texts: parts (n, m, h), and which of them are there (n, m)."""

    parts: Tensor
    there: Tensor

    def __len__(self) -> int:
        return len(self.parts)

    def rows(self, chosen: slice | Tensor) -> Encoded:
        """Return some of them, without parts that are padding in all of these."""
        there = self.there[chosen]
        longest = int(there.sum(dim=1).max()) if len(there) else 0
        return Encoded(self.parts[chosen, :longest], there[:, :longest])


@torch.inference_mode()
def all_scores(
    matcher: Matcher,
    images: Encoded,
    texts: Encoded,
    numbers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Return the scores (n, t) of n images with t texts, on the CPU.

    What is there stands before what is padding, in images and in texts. numbers: how many a block's
    largest tensor may hold; progress: called with the number of texts that are done.
    """
    matcher.eval()
    images = images.rows(slice(None))
    found = torch.empty(len(images), len(texts))
    done = 0
    for columns, block, size in text_blocks(matcher, images, texts, numbers):
        for start in range(0, len(images), size):
            some = images.rows(slice(start, start + size))
            scores = matcher.scores(some.parts, some.there, block.parts, block.there)
            found[start : start + size, columns] = scores.float().cpu()
        done += len(columns)
        progress(done)
    return found


def text_blocks(
    matcher: Matcher, images: Encoded, texts: Encoded, numbers: int | None = None
) -> Iterator[tuple[Tensor, Encoded, int]]:
    """Yield blocks of texts of about one length: their places, themselves, and images a block."""
    most = numbers or (CPU_NUMBERS if texts.parts.device.type == "cpu" else GPU_NUMBERS)
    counts = texts.there.sum(dim=1).cpu()
    order = counts.argsort(stable=True)

    def pairs(words: int) -> int:
        return max(1, most // max(1, matcher.numbers(images.parts.shape[1], words)))

    while len(order):
        # As many texts as images in a block: both sides of the product are then large.
        side = int(pairs(max(1, int(counts[order[0]]))) ** 0.5)
        columns, order = order[:side], order[side:]
        block = texts.rows(columns.to(texts.parts.device))
        yield columns, block, max(1, pairs(block.parts.shape[1]) // len(columns))
