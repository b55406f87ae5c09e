"""Makes a detector of OWLv2 that runs without PyTorch: boxes, and how much each looks like a thing.

The words that OWLv2 also reads stay behind: what is exported finds things of any kind.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from finesight.errors import DataError, InputError
from finesight.files import need_new, new_folder, write_json
from finesight.proposals.onnx_detector import MODEL, OUTPUTS, OnnxDetector
from finesight.proposals.torch_detectors import Owlv2Detector, load_torch_detector, objectness
from finesight.research.training.export import export_graph

_LARGEST_DIFFERENCE = 1e-3  # of a box's edges, in shares of the image, and of a score


def export_detector(source: str, out: Path) -> float:
    """Write the folder that `OnnxDetector` reads; return the largest difference to the original.

    source: a folder or a repository of the hub with OWLv2. The folder appears at the end, whole.
    Raises InputError where it is there already or the source is another detector, DataError where
    ONNX Runtime gives something else than PyTorch.
    """
    need_new(out)
    detector = load_torch_detector(source)
    if not isinstance(detector, Owlv2Detector):
        raise InputError(
            f"{source} needs words for every image and cannot be exported: export OWLv2, or name "
            "this one after detect: where PyTorch is installed"
        )
    detector.model.to("cpu")
    settings = detector.preprocessing
    pixels = torch.rand(1, 3, settings.side, settings.side)
    compute = partial(objectness, detector.model)
    with new_folder(out) as folder:
        (folder / MODEL).parent.mkdir(parents=True)
        write_json(folder / "preprocessor_config.json", settings.config())
        export_graph(detector.model, {"pixel_values": pixels}, {}, OUTPUTS, folder / MODEL, compute)
        with torch.inference_mode():
            boxes, logits = compute(pixels)
        ours, theirs = (boxes, logits.sigmoid()), OnnxDetector(folder).run(pixels.numpy())
        apart = (np.abs(a[0].numpy() - b).max() for a, b in zip(ours, theirs, strict=True))
        difference = float(max(apart))
        if not difference <= _LARGEST_DIFFERENCE:
            raise DataError(
                f"{source} gives something else in ONNX Runtime (by {difference:.2g}): update "
                "torch and onnxscript"
            )
    return difference
