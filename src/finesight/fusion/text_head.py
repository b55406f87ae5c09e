"""The text side of a fusion that has a space of its own: query vectors from text embeddings."""

from pathlib import Path

import numpy as np

from finesight.graphs import Graph
from finesight.types import Float32


class TextHead:
    """A linear layer in ONNX: `text_embeds` (t, d) → `queries` (t, d), read on first use.

    version: tells its graph from others.
    """

    def __init__(self, path: Path, version: str = "") -> None:
        self.version = version
        self._graph = Graph(path)

    def __call__(self, embeddings: Float32) -> Float32:
        """Return the vectors (t, d) that fused vectors are compared with, of length 1.

        Raises DataError for an unreadable graph.
        """
        found = self._graph.run({"text_embeds": embeddings.astype(np.float32)})[0]
        return np.asarray(found, np.float32)
