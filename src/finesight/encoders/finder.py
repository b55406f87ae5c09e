"""Says where something is in an image, from the graph `onnx/objectness.onnx` of a bundle."""

from pathlib import Path

import numpy as np
from PIL import Image

from finesight.boxes import ScoredBoxes
from finesight.encoders.preprocessing import Preprocessing
from finesight.graphs import Graph

OBJECTNESS = "onnx/objectness.onnx"
COARSEST = 32  # a canvas has a multiple of as many pixels a side


class Finder:
    """Looks for things, whatever they are, in an image squashed to a small square canvas.

    cost: of a pixel of the canvas, in encodings of one crop; version: of the graph. Raises
    DataError, when it is used, for a damaged graph.
    """

    def __init__(
        self, directory: Path, preprocessing: Preprocessing, cost: float, version: str = ""
    ) -> None:
        self.preprocessing = preprocessing
        self.cost = cost
        self.version = version
        self._graph = Graph(directory / OBJECTNESS)

    def forward_passes(self, canvas: int) -> float:
        """What a look at a canvas of so many pixels a side costs, in encodings of one crop."""
        return self.cost * canvas**2

    def detect(self, image: Image.Image, canvas: int) -> ScoredBoxes:
        """Return where in an RGB image something may be: one guess for each cell of the canvas."""
        pixels = np.asarray(image.resize((canvas, canvas), self.preprocessing.resample))
        given = {"pixel_values": self.preprocessing.tensor(pixels[None])}
        said = self._graph.one(given)[0]  # (5, h, w): see research/networks/finder.py
        _, height, width = said.shape
        y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
        centres = np.stack([x + said[1], y + said[2]])
        sides = np.exp(np.clip(said[3:5], -3.0, 5.0))
        scale = np.array([width, height])[:, None, None]
        corners = np.concatenate([(centres - sides / 2) / scale, (centres + sides / 2) / scale])
        boxes = np.clip(corners.reshape(4, -1).T, 0.0, 1.0).astype(np.float32)
        likely = 1 / (1 + np.exp(-said[0].ravel()))
        return ScoredBoxes(boxes, likely.astype(np.float32))
