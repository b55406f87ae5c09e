"""A class-agnostic detector in ONNX Runtime: OWLv2's boxes and how much each looks like an object.

`finesight export` makes the folder: `preprocessor_config.json`, and `onnx/detector.onnx` from
`pixel_values` (1, 3, side, side) to `pred_boxes` (1, n, 4), centre and size in shares of the
padded square, and `objectness_logits` (1, n).
"""

from pathlib import Path

import numpy as np
from PIL import Image

from finesight.boxes import OVERLAP, ScoredBoxes
from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError
from finesight.graphs import Graph
from finesight.images.open import Picture
from finesight.types import Float32

MODEL = "onnx/detector.onnx"
OUTPUTS = ["pred_boxes", "objectness_logits"]


class OnnxDetector:
    """A folder that `finesight export` made; raises DataError for a damaged one."""

    least = 0.0  # objectness is a ranking: the best boxes are taken, however sure they are
    overlap = OVERLAP
    reads_pixels = True

    def __init__(self, directory: Path) -> None:
        self.preprocessing = Preprocessing.read(directory / "preprocessor_config.json")
        self._graph = Graph(directory / MODEL, threads=0)
        if not {*OUTPUTS} <= {*self._graph.outputs}:
            raise DataError(
                f"{directory / MODEL} gives {', '.join(sorted(self._graph.outputs))}: a detector "
                f"gives {' and '.join(OUTPUTS)}"
            )

    def detect(self, picture: Picture) -> ScoredBoxes:
        """Return where something may be in a picture, whatever file it is of."""
        found = self.run(padded_square(picture.image, self.preprocessing))
        return unpadded(*found, picture.image.size)

    def run(self, pixels: Float32) -> tuple[Float32, Float32]:
        """Return the boxes (n, 4) in the padded square and scores (n,) of one input."""
        boxes, logits = self._graph.run({"pixel_values": pixels}, OUTPUTS)
        return boxes[0], 0.5 * (1 + np.tanh(0.5 * logits[0]))  # the sigmoid, without overflow


def padded_square(image: Image.Image, preprocessing: Preprocessing) -> Float32:
    """Return the input (1, 3, side, side) of OWLv2: the image at the top left of a black square."""
    side = preprocessing.side
    scale = side / max(image.size)
    width, height = (max(1, round(scale * length)) for length in image.size)
    square = Image.new("RGB", (side, side))
    square.paste(image.resize((width, height), preprocessing.resample), (0, 0))
    return preprocessing.tensor(np.asarray(square)[None])


def unpadded(boxes: Float32, scores: Float32, size: tuple[int, int]) -> ScoredBoxes:
    """Return boxes (n, 4) of the padded square, centre and size, as normalised xyxy of the image.

    size: of the image, in pixels; what lies beyond it is cut off.
    """
    scale = max(size) / np.array([*size, *size], np.float32)
    centres, halves = boxes[:, :2], boxes[:, 2:] / 2
    corners = np.concatenate([centres - halves, centres + halves], axis=1)
    return ScoredBoxes(np.clip(corners * scale, 0, 1).astype(np.float32), scores.astype(np.float32))
