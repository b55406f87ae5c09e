"""Puts a trained finder into a model bundle, where it runs without PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finesight.encoders import Preprocessing
from finesight.encoders.finder import OBJECTNESS
from finesight.encoders.onnx import tower_files
from finesight.graphs import Graph
from finesight.models.parts import FinderEntry
from finesight.research.networks.finder import FinderNetwork
from finesight.research.training.export import ANY, export_graph, need_agreement, put_part
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
    theirs = Graph(path).run({"pixel_values": other.numpy()})[0]
    with torch.inference_mode():
        apart = float(np.abs(network(other).numpy() - theirs).max())
    need_agreement(f"graph {path}", apart <= LARGEST_DIFFERENCE, f"by {apart:.5f}")
    return apart


def canvas_cost(graph: Path, bundle: Path, canvas: int) -> float:
    """Return what a pixel of a canvas costs a finder, in encodings of one crop by a bundle.

    canvas: a side in pixels at which it is counted.
    """
    side = Preprocessing.read(bundle / "preprocessor_config.json").side
    crop = multiplications(bundle / tower_files(bundle)[0], (1, 3, side, side))
    return multiplications(graph, (1, 3, canvas, canvas)) / crop / canvas**2


def put_finder_into_bundle(
    network: FinderNetwork,
    bundle: Path,
    canvas: int,
    provenance: Mapping[str, Any],
    out: Path | None = None,
) -> float:
    """Add a finder to a bundle, or to a copy of it; returns how far the runtimes are apart.

    canvas: the side in pixels at which its cost is counted. Raises InputError: see put_part.
    """

    def export(folder: Path) -> tuple[FinderEntry, float]:
        graph = folder / OBJECTNESS
        apart = export_finder(network, graph)
        return FinderEntry(canvas_cost(graph, bundle, canvas)), apart

    return put_part(bundle, out, provenance, export)
