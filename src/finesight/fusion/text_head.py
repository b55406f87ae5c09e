"""The text side of a fusion that has a space of its own: query vectors from text embeddings."""

from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort

from finesight.errors import DataError
from finesight.types import Float32


class TextHead:
    """A linear layer in ONNX: `text_embeds` (t, d) → `queries` (t, d), read on first use."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _session(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        try:
            return ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common class
            raise DataError(
                f"{self.path} is not a readable text head: export the model again"
            ) from error

    def __call__(self, embeddings: Float32) -> Float32:
        """Return the vectors (t, d) that fused vectors are compared with, of length 1."""
        found = self._session.run(None, {"text_embeds": embeddings.astype(np.float32)})[0]
        return np.asarray(found, np.float32)
