"""ONNX graphs: the one place that opens them, with one error for those that cannot be read."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from finesight.errors import DataError, first_line
from finesight.types import Float32

_CUDA = "CUDAExecutionProvider"


class Graph:
    """A graph in a file, opened when it is first used.

    threads: how many compute it, 0 for one for each core; gpu: use CUDA where onnxruntime-gpu is
    installed. Raises DataError, when it is used, for a file that is missing or damaged.
    """

    def __init__(self, path: Path, threads: int = 1, gpu: bool = False) -> None:
        self.path = path
        self._threads = threads
        self._gpu = gpu

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """What it takes, by name: ONNX Runtime's name, shape and type of each input."""
        return {each.name: each for each in self._session.get_inputs()}

    @property
    def outputs(self) -> list[str]:
        """The names of what it gives."""
        return [each.name for each in self._session.get_outputs()]

    def run(self, given: Mapping[str, Any], outputs: Sequence[str] | None = None) -> list[Any]:
        """Return the arrays of `outputs`, by default all; what it does not take is left out."""
        fed = {name: value for name, value in given.items() if name in self.inputs}
        found: list[Any] = self._session.run(outputs, fed)
        return found

    def one(self, given: Mapping[str, Any], output: str | None = None) -> Float32:
        """Return one of its outputs in float32, the first unless named: see run."""
        found = self.run(given, None if output is None else [output])[0]
        return np.asarray(found, np.float32)

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        # Spinning threads would take the cores from those that decode the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [*([_CUDA] if self._gpu and has_gpu() else []), "CPUExecutionProvider"]
        try:
            return onnxruntime.InferenceSession(str(self.path), options, providers=providers)
        except Exception as error:  # onnxruntime has an exception class a status, without a base
            problem = f"damaged ({first_line(error)})" if self.path.is_file() else "missing"
            raise DataError(
                f"{self.path} is {problem}: download, export or install the model again"
            ) from error


def has_gpu() -> bool:
    """Whether ONNX Runtime can use CUDA."""
    return _CUDA in onnxruntime.get_available_providers()
