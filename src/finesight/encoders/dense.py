"""Reads embeddings of many windows out of one feature map, from the graphs of a bundle.

`onnx/dense_model.onnx` turns pixels of any size into a feature map; a window of it is pooled as
the tower pools its whole map, and `onnx/region_head.onnx` turns that into an embedding. With
`onnx/objectness.onnx` the map also says where something is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError
from finesight.scoring import normalise
from finesight.types import Float32, UInt8

MAP = "onnx/dense_model.onnx"
HEAD = "onnx/region_head.onnx"
OBJECTNESS = "onnx/objectness.onnx"


OVERLAP = 0.5
"""Of two boxes of a detector with a higher intersection over union, the surer one is kept."""


@dataclass(frozen=True)
class Guesses:
    """Where something may be: boxes (n, 4), normalised xyxy, and how likely, (n,) in 0..1."""

    boxes: Float32
    likely: Float32


class DenseTower:
    """The image tower of a bundle on canvases larger than its input.

    stride: pixels of the canvas for each cell of the map. Raises DataError, when it is used, for a
    bundle without these graphs or a damaged one.
    """

    def __init__(self, directory: Path, preprocessing: Preprocessing, stride: int) -> None:
        self.directory = directory
        self.preprocessing = preprocessing
        self.stride = stride

    @property
    def tells_objects(self) -> bool:
        """Whether the bundle says where something is."""
        return (self.directory / OBJECTNESS).is_file()

    def passes(self, side: int) -> float:
        """What one map of a canvas costs, in encodings of one crop: the share of their pixels."""
        return (side / self.preprocessing.side) ** 2

    def maps(self, canvases: UInt8) -> Float32:
        """Return the feature maps (b, c, h, w) of canvases (b, side, side, 3)."""
        pixels = self.preprocessing.tensor(canvases)
        return self._run(self._map, pixels)

    def encode(self, crops: UInt8) -> Float32:
        """Return the embeddings (b, d) of crops (b, side, side, 3) of any side.

        Of the model's own side they are what the encoder gives; smaller crops cost less, and show
        a thing that fills them as large as it would be in a part of a crop.
        """
        found = self.maps(crops)
        pooled = found.mean(axis=(2, 3)) + found.max(axis=(2, 3))
        return normalise(self._run(self._head, pooled))

    def windows(self, found: Float32, cells: int, step: int) -> tuple[Float32, Float32]:
        """Return boxes (p, 4) and embeddings (p, d) of all windows of cells × cells in one map.

        found: (c, h, w); windows start every `step` cells and at the far border.
        """
        _, height, width = found.shape
        rows, columns = _starts(height, cells, step), _starts(width, cells, step)
        shape = (cells, cells)
        parts = np.lib.stride_tricks.sliding_window_view(found, shape, axis=(1, 2))  # type: ignore[call-overload]
        chosen = parts[:, rows][:, :, columns]
        # As the tower pools its whole map: mean and maximum, added.
        pooled = chosen.mean(axis=(3, 4)) + chosen.max(axis=(3, 4))
        flat = np.ascontiguousarray(pooled.reshape(len(found), -1).T)
        y, x = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))
        scale = np.array([width, height, width, height], np.float32)
        boxes = np.stack([x, y, x + cells, y + cells], axis=1) / scale
        return boxes.astype(np.float32), normalise(self._run(self._head, flat))

    def guesses(self, found: Float32) -> Guesses:
        """Return where in one map (c, h, w) something may be: one guess for each cell."""
        said = self._run(self._objectness, found[None])[0]
        _, height, width = said.shape
        y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
        centres = np.stack([x + said[1], y + said[2]])
        sides = np.exp(np.clip(said[3:5], -3.0, 5.0))
        scale = np.array([width, height])[:, None, None]
        corners = np.concatenate([(centres - sides / 2) / scale, (centres + sides / 2) / scale])
        boxes = np.clip(corners.reshape(4, -1).T, 0.0, 1.0).astype(np.float32)
        likely = 1 / (1 + np.exp(-said[0].ravel()))
        return Guesses(boxes, likely.astype(np.float32))

    @cached_property
    def _map(self) -> onnxruntime.InferenceSession:
        return self._session(MAP)

    @cached_property
    def _head(self) -> onnxruntime.InferenceSession:
        return self._session(HEAD)

    @cached_property
    def _objectness(self) -> onnxruntime.InferenceSession:
        return self._session(OBJECTNESS)

    def _session(self, file: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        # Images are looked at side by side, each in a thread of its own.
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(
                self.directory / file, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has no common class for what can go wrong
            raise DataError(
                f"{self.directory / file} is missing or damaged: export the model again"
            ) from error

    def _run(self, session: onnxruntime.InferenceSession, given: Any) -> Float32:
        found: Float32 = session.run(None, {session.get_inputs()[0].name: given})[0]
        return found


def _starts(length: int, cells: int, step: int) -> Sequence[int]:
    last = max(0, length - cells)
    return sorted({*range(0, last + 1, step), last})
