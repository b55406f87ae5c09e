"""Puts a trained finder into a model bundle, where it runs without PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finesight.encoders.onnx import OnnxEncoder, tower_files
from finesight.errors import FinesightError
from finesight.graphs import Graph
from finesight.models.bundle import add_objectness
from finesight.proposals.finder import OBJECTNESS
from finesight.research.networks.finder import FinderNetwork
from finesight.research.training.export import ANY, export_graph
from finesight.research.training.flops import multiplications
from finesight.research.training.fusion.export import bundle_to_change

LARGEST_DIFFERENCE = 1e-3  # between what PyTorch and ONNX Runtime compute, in logits and cells


def export_finder(network: FinderNetwork, directory: Path) -> None:
    """Write a trained network into a bundle; raises FinesightError where the runtimes disagree."""
    path = directory / OBJECTNESS
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    axes = {0: ANY, 2: ANY, 3: ANY}
    export_graph(network, {"pixel_values": pixels}, axes, ["objectness"], path)
    other = pixels[:1, :, :64, :32].contiguous()
    theirs = Graph(path).run({"pixel_values": other.numpy()})[0]
    with torch.inference_mode():
        apart = float(np.abs(network(other).numpy() - theirs).max())
    if apart > LARGEST_DIFFERENCE:
        raise FinesightError(
            f"the exported graph {path} disagrees with PyTorch (by {apart:.5f}): do not use it, "
            "and report this with the versions of torch and onnxruntime"
        )


def canvas_cost(directory: Path, canvas: int) -> float:
    """Return what a pixel of a canvas costs in a bundle, in encodings of one crop: Manifest's.

    canvas: a side in pixels at which it is counted.
    """
    side = OnnxEncoder(directory).preprocessing.side
    crop = multiplications(directory / tower_files(directory)[0], (1, 3, side, side))
    return multiplications(directory / OBJECTNESS, (1, 3, canvas, canvas)) / crop / canvas**2


def put_finder_into_bundle(
    network: FinderNetwork, bundle: Path, canvas: int, provenance: Mapping[str, Any], out: Path
) -> None:
    """Write a copy of a bundle that finds objects with a trained network.

    canvas: a side in pixels at which its cost is counted. Raises InputError where `bundle` is none
    of ours or `out` is there already.
    """
    changed = bundle_to_change(bundle, out)
    export_finder(network, changed)
    add_objectness(changed, canvas_cost(changed, canvas), dict(provenance))
