"""A trained matcher in ONNX: a word tower with its tokenizer, and the scores of parts with parts.

`words` takes `input_ids` and `attention_mask` (t, w) and gives `words` (t, w, h); `graph` takes
`regions` (b, p, d), `there` (b, p), `words` and `mask` (t, w), and gives `scores` (b, t).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from finesight.encoders.base import open_tokenizer, warn_of_long_texts
from finesight.errors import DataError
from finesight.graphs import Graph
from finesight.types import Float32

_PARTS = 2**14  # regions × words scored in one go: some tens of MiB with the widest matchers


class NetworkMatcher:
    """A matcher of a bundle; its files are read on first use.

    graph, words, tokenizer: the files; regions: the proposer whose regions it was trained with.
    """

    def __init__(self, graph: Path, words: Path, tokenizer: Path, regions: str = "") -> None:
        self.regions = regions
        self._graph = Graph(graph, threads=0, gpu=True)
        self._words = Graph(words, threads=0, gpu=True)
        self._tokenizer_file = tokenizer

    def scores(self, regions: Sequence[Float32], texts: Sequence[str]) -> Float32:
        """Return the scores (n, t) of images, given by their regions (p, d) each, with texts.

        Higher is better; scores of different matchers do not compare. Images and texts are scored
        block by block, so that memory does not grow with their number. Raises DataError for a
        graph that cannot be read, or one that takes other regions.
        """
        found = np.zeros((len(regions), len(texts)), np.float32)
        tokens = self._tokenizer.encode_batch(list(texts))
        longest = int((self._tokenizer.truncation or {"max_length": 0})["max_length"])
        warn_of_long_texts(texts, [bool(each.overflowing) for each in tokens], longest)
        counts = np.array([sum(each.attention_mask) for each in tokens], int)
        sizes = np.array([len(each) for each in regions], int)
        order = np.argsort(sizes, kind="stable")
        wanted = self._graph.inputs["regions"].shape[2]
        for columns in _blocks(np.argsort(counts, kind="stable"), counts, _PARTS // 64):
            width = int(counts[columns].max())
            ids = np.array([tokens[i].ids[:width] for i in columns], np.int64)
            mask = np.arange(width) < counts[columns][:, None]
            words = self._words.one({"input_ids": ids, "attention_mask": mask.astype(np.int64)})
            for rows in _blocks(order, sizes, max(1, _PARTS // (width * len(columns)))):
                block, there = _padded([regions[i] for i in rows])
                given = {"regions": block, "there": there, "words": words, "mask": mask}
                if block.shape[2] != wanted:
                    raise DataError(
                        f"{self._graph.path} takes regions of {wanted} numbers and got "
                        f"{block.shape[2]}: it belongs to another encoder"
                    )
                found[np.ix_(rows, columns)] = self._graph.one(given)
        return found

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return open_tokenizer(self._tokenizer_file)


def _blocks(order: np.ndarray, sizes: np.ndarray, most: int) -> Sequence[np.ndarray]:
    """Cut places in `order` of rising sizes into runs of about `most` parts each."""
    if not len(order):
        return []
    ends = np.cumsum(sizes[order])
    return [part for part in np.split(order, np.flatnonzero(np.diff(ends // most)) + 1)]


def _padded(regions: Sequence[Float32]) -> tuple[Float32, np.ndarray]:
    """Return regions (b, p, d), zero where an image has fewer, and which are there (b, p)."""
    counts = np.array([len(each) for each in regions])
    block = np.zeros((len(regions), counts.max(), regions[0].shape[1]), np.float32)
    for row, each in zip(block, regions, strict=True):
        row[: len(each)] = each
    return block, np.arange(block.shape[1]) < counts[:, None]
