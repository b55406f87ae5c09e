"""Makes a detector of OWLv2 that runs without PyTorch: boxes, and how much each looks like a thing.

The words that OWLv2 also reads stay behind: what is exported finds things of any kind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finesight.errors import DataError, InputError
from finesight.files import write_json
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
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder")
    detector = load_torch_detector(source)
    if not isinstance(detector, Owlv2Detector):
        raise InputError(
            f"{source} needs words for every image and cannot be exported: export OWLv2, or name "
            "this one after detect: where PyTorch is installed"
        )
    detector.model.to("cpu")
    settings = detector.preprocessing
    pixels = torch.rand(1, 3, settings.side, settings.side)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        folder = Path(place) / "detector"
        (folder / MODEL).parent.mkdir(parents=True)
        described = {
            "size": {"height": settings.side, "width": settings.side},
            "resample": int(settings.resample),
            "image_mean": list(settings.mean),
            "image_std": list(settings.std),
            "rescale_factor": settings.factor,
        }
        write_json(folder / "preprocessor_config.json", described)
        compute = partial(objectness, detector.model)
        export_graph(detector.model, {"pixel_values": pixels}, {}, OUTPUTS, folder / MODEL, compute)
        difference = _difference(compute, folder, pixels)
        if not difference <= _LARGEST_DIFFERENCE:
            raise DataError(
                f"{source} gives something else in ONNX Runtime (by {difference:.2g}): update "
                "torch and onnxscript"
            )
        folder.rename(out)
    return difference


def _difference(
    compute: Callable[[Tensor], tuple[Tensor, Tensor]], folder: Path, pixels: Tensor
) -> float:
    """Return the largest difference of a box's edge or a score between the two."""
    with torch.inference_mode():
        boxes, logits = compute(pixels)
    ours = boxes.numpy(), logits.sigmoid().numpy()
    found = OnnxDetector(folder).run(pixels.numpy())
    return max(float(np.abs(a[0] - b).max()) for a, b in zip(ours, found, strict=True))
