"""Trained fusions at run time: a network in ONNX, fed with what was seen in one image."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from finesight.errors import DataError
from finesight.fusion.salient import cluster
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
        self.path = path

    @cached_property
    def _session(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        # Small products: one thread, and none that spins while the encoder needs the cores.
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common class
            raise DataError(
                f"{self.path} is not a readable fusion: export the model again"
            ) from error

    def __call__(self, seen: ImageVectors, k: int) -> Float32:
        """Return at most min(k, p) vectors (k, d); raises DataError for an unreadable graph."""
        found = self._run(seen.embeddings[None], seen.boxes[None])
        if "weights" in found:
            weights, temperature = found["weights"][0], float(found["temperature"])
            return cluster(seen.embeddings, weights, k, self.rounds, temperature)
        return np.asarray(found["vectors"][0, : min(k, len(seen.boxes))], np.float32)

    def _run(self, regions: Float32, boxes: Float32) -> dict[str, Any]:
        inputs = {
            "regions": regions.astype(np.float32),
            "there": np.ones(regions.shape[:2], bool),
            "boxes": boxes.astype(np.float32),
        }
        wanted = {node.name for node in self._session.get_inputs()}
        fed = {name: value for name, value in inputs.items() if name in wanted}
        outputs = [output.name for output in self._session.get_outputs()]
        return dict(zip(outputs, self._session.run(None, fed), strict=True))
