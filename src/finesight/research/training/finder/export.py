"""Puts a trained finder into a model bundle, where it runs without PyTorch."""

import copy
from pathlib import Path

import numpy as np
import torch

from finesight.encoders import Preprocessing
from finesight.encoders.finder import OBJECTNESS
from finesight.encoders.onnx import tower_files
from finesight.models.parts import FinderEntry
from finesight.research.networks.finder import FinderNetwork
from finesight.research.training.export import ANY, export_graph, need_agreement, run_both
from finesight.research.training.flops import multiplications

LARGEST_DIFFERENCE = 1e-3  # between what PyTorch and ONNX Runtime compute, in logits and cells


def export_finder(network: FinderNetwork, path: Path) -> float:
    """Write a trained network as one ONNX file for canvases of any size.

    Returns the largest difference between the two runtimes; raises FinesightError where that is
    too much.
    """
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    axes = {0: ANY, 2: ANY, 3: ANY}
    export_graph(network, {"pixel_values": pixels}, axes, ["objectness"], path)
    other = pixels[:1, :, :64, :32].contiguous()
    ours, theirs = run_both(network, {"pixel_values": other}, path)
    apart = float(np.abs(ours - theirs).max())
    need_agreement(f"graph {path}", apart <= LARGEST_DIFFERENCE, f"by {apart:.5f}")
    return apart


def finder_part(
    network: FinderNetwork, bundle: Path, canvas: int, folder: Path
) -> tuple[FinderEntry, float]:
    """Write a finder for a bundle to a folder; also returns how far the runtimes are apart.

    canvas: the side in pixels at which its cost is counted, of a pixel in encodings of one crop.
    """
    graph = folder / OBJECTNESS
    apart = export_finder(network, graph)
    side = Preprocessing.read(bundle / "preprocessor_config.json").side
    crop = multiplications(bundle / tower_files(bundle)[0], (1, 3, side, side))
    cost = multiplications(graph, (1, 3, canvas, canvas)) / crop / canvas**2
    return FinderEntry(cost), apart
