"""Trained fusions at run time, in ONNX: networks fed with one image, and their text side."""

from pathlib import Path

import numpy as np

from finesight.fusion.training_free import cluster
from finesight.graphs import Graph
from finesight.types import Float32, ImageVectors


class NetworkFusion:
    """A fusion network: it gives the vectors themselves, or a weight for every region.

    In the second case the vectors are the weighted clusters of the regions, for any k; in the first
    the network decides how many there are, and the first k of them are taken. The graph takes
    `regions` (b, p, d), `there` (b, p) and `boxes` (b, p, 4), and gives `vectors` (b, k, d) or
    `weights` (b, p) with `temperature` ().
    """

    rounds = 4  # as in training (networks.fusion.SalientClusters)

    def __init__(self, path: Path) -> None:
        """Name the graph's file; it is read on first use, as a search never needs it."""
        self._graph = Graph(path)

    def __call__(self, seen: ImageVectors, k: int) -> Float32:
        """Return at most min(k, p) vectors (k, d); raises DataError for an unreadable graph."""
        regions = seen.embeddings[None].astype(np.float32)
        there = np.ones(regions.shape[:2], bool)
        given = {"regions": regions, "there": there, "boxes": seen.boxes[None].astype(np.float32)}
        found = dict(zip(self._graph.outputs, self._graph.run(given), strict=True))
        if "weights" in found:
            weights, temperature = found["weights"][0], float(found["temperature"])
            return cluster(seen.embeddings, weights, k, self.rounds, temperature)
        return np.asarray(found["vectors"][0, : min(k, len(seen.boxes))], np.float32)


class TextHead:
    """The text side of a fusion that has a space of its own, read on first use.

    A linear layer: `text_embeds` (t, d) → `queries` (t, d). version: tells its graph from others.
    """

    def __init__(self, path: Path, version: str = "") -> None:
        self.version = version
        self._graph = Graph(path)

    def __call__(self, embeddings: Float32) -> Float32:
        """Return the vectors (t, d) that fused vectors are compared with, of length 1.

        Raises DataError for an unreadable graph.
        """
        return self._graph.one({"text_embeds": embeddings.astype(np.float32)})
