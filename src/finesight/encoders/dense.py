"""Reads the embeddings of many windows out of one pass over a canvas larger than a crop.

A convolutional bundle has `onnx/dense_model.onnx`, which turns pixels of any size into a feature
map, and `onnx/region_head.onnx`, which turns a window of it, pooled as the tower pools its whole
map, into an embedding. A vision transformer's bundle has `onnx/region_model.onnx`, which takes
the windows beside the pixels (encoders/torch_regions.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError
from finesight.graphs import Graph
from finesight.scoring.similarity import normalise
from finesight.types import Float32, UInt8

MAP = "onnx/dense_model.onnx"
HEAD = "onnx/region_head.onnx"
REGIONS = "onnx/region_model.onnx"
POOLED, TOKENS = "pooled", "tokens"


@dataclass(frozen=True)
class DenseEntry:
    """How a bundle reads windows out of one canvas.

    stride: pixels of the canvas for each cell that a window is made of; kind: "pooled" of a feature
    map, or "tokens" of a transformer.
    """

    stride: int
    kind: str = POOLED
    origin: ClassVar = "dense"
    field: ClassVar = "dense"

    @property
    def files(self) -> tuple[str, ...]:
        """The graphs that it needs."""
        return (MAP, HEAD) if self.kind == POOLED else (REGIONS,)


class DenseTower(Protocol):
    """An image tower that sees many windows of a canvas at once."""

    preprocessing: Preprocessing

    @property
    def stride(self) -> int:
        """Pixels of the canvas for each cell."""

    def forward_passes(self, side: int) -> float:
        """What one canvas costs, in encodings of one crop."""

    def read(self, canvas: UInt8, cells: Sequence[int]) -> tuple[Float32, Float32]:
        """Return boxes (p, 4) and embeddings (p, d) of windows of a canvas (side, side, 3).

        cells: the windows' sides; each starts every quarter of its side and at the far border.
        """


class _BundleTower:
    """A tower whose graphs are a bundle's; version: tells them from others.

    Raises DataError, when it is used, for a bundle without these graphs or a damaged one.
    """

    def __init__(
        self, directory: Path, preprocessing: Preprocessing, stride: int, version: str = ""
    ) -> None:
        self.preprocessing = preprocessing
        self.stride = stride
        self.version = version
        self._map, self._head = Graph(directory / MAP), Graph(directory / HEAD)
        self._regions = Graph(directory / REGIONS)

    def forward_passes(self, side: int) -> float:
        """What one canvas costs, in encodings of one crop: the share of their pixels."""
        return (side / self.preprocessing.side) ** 2


class PooledTower(_BundleTower):
    """A convolutional tower, whose map is pooled window by window."""

    def read(self, canvas: UInt8, cells: Sequence[int]) -> tuple[Float32, Float32]:
        """Return the windows of a canvas: see DenseTower."""
        found = self.maps(canvas[None])[0]
        parts = [self.windows(found, each, max(1, each // 4)) for each in cells]
        boxes, embeddings = zip(*parts, strict=True)
        return np.concatenate(boxes), np.concatenate(embeddings)

    def maps(self, canvases: UInt8) -> Float32:
        """Return the feature maps (b, c, h, w) of canvases (b, side, side, 3)."""
        return self._map.one({"pixel_values": self.preprocessing.tensor(canvases)})

    def encode(self, crops: UInt8) -> Float32:
        """Return the embeddings (b, d) of crops (b, side, side, 3) of any side.

        Of the model's own side they are what the encoder gives; smaller crops cost less, and show
        a thing that fills them as large as it would be in a part of a crop.
        """
        found = self.maps(crops)
        pooled = found.mean(axis=(2, 3)) + found.max(axis=(2, 3))
        return normalise(self._head.one({"pooled": pooled}))

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
        return boxes.astype(np.float32), normalise(self._head.one({"pooled": flat}))


class TokenTower(_BundleTower):
    """A vision transformer, in which every window has a class token of its own."""

    def read(self, canvas: UInt8, cells: Sequence[int]) -> tuple[Float32, Float32]:
        """Return the windows of a canvas: see DenseTower."""
        boxes, inside = windows_of_patches(len(canvas) // self.stride, cells)
        pixels = self.preprocessing.tensor(canvas[None])
        return boxes, normalise(self._regions.one({"pixel_values": pixels, "windows": inside}))


def windows_of_patches(across: int, cells: Sequence[int]) -> tuple[Float32, Float32]:
    """Return the boxes (n, 4) of windows of across × across patches, and which lie in each.

    cells: see DenseTower.read; the second is (n, across²), 1 inside and 0 outside.
    """
    corners = [
        (x, y, each)
        for each in cells
        for y in _starts(across, each, max(1, each // 4))
        for x in _starts(across, each, max(1, each // 4))
    ]
    inside = np.zeros((len(corners), across, across), np.float32)
    for window, (x, y, each) in zip(inside, corners, strict=True):
        window[y : y + each, x : x + each] = 1
    boxes = np.array([(x, y, x + each, y + each) for x, y, each in corners], np.float32) / across
    return boxes, inside.reshape(len(corners), -1)


def open_tower(
    directory: Path, preprocessing: Preprocessing, entry: DenseEntry, version: str = ""
) -> DenseTower:
    """Return the tower that reads a bundle's canvases; raises DataError for an unknown kind."""
    if entry.kind == POOLED:
        return PooledTower(directory, preprocessing, entry.stride, version)
    if entry.kind == TOKENS:
        return TokenTower(directory, preprocessing, entry.stride, version)
    raise DataError(
        f"{directory} reads its canvases by {entry.kind!r}, which this finesight does not know: "
        "update finesight"
    )


def _starts(length: int, cells: int, step: int) -> Sequence[int]:
    last = max(0, length - cells)
    return sorted({*range(0, last + 1, step), last})
