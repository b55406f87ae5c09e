"""Puts a trained fusion into a model bundle, where it runs without PyTorch."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from finesight.fusion import NetworkFusion
from finesight.models.parts import FusionEntry
from finesight.research.networks.clusters import SalientClusters
from finesight.research.networks.fusion import FusionNetwork
from finesight.research.training.export import export_graph, need_cosine
from finesight.types import ImageVectors


def export_fusion(network: FusionNetwork, path: Path) -> float:
    """Write a fusion network as one ONNX file for any number of images and regions.

    Returns the lowest cosine between the two runtimes' vectors of the same random regions; raises
    FinesightError when it is too low.
    """
    network = copy.deepcopy(network).float().cpu().eval()
    width = network.settings.width
    generator = torch.Generator().manual_seed(0)
    regions = nn.functional.normalize(torch.randn(2, 7, width, generator=generator), dim=-1)
    corners = torch.rand(2, 7, 2, generator=generator) / 2
    boxes = torch.cat([corners, corners + 0.1 + torch.rand(2, 7, 2, generator=generator) / 4], -1)
    there = torch.ones(2, 7, dtype=torch.bool)
    there[1, 5:] = False
    inputs = {"regions": regions, "there": there, "boxes": boxes}
    axes = {0: "b", 1: "p"}
    if isinstance(network, SalientClusters):

        def weights(regions: Tensor, there: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
            """The part of the clusters that is learned: a weight for every region (b, p)."""
            return network.weights(regions, there, boxes), network.log_temperature.exp()

        export_graph(network, inputs, axes, ["weights", "temperature"], path, weights)
    else:
        export_graph(network, inputs, axes, ["vectors"], path)
    return min(_agreement(network, path, count, width) for count in (1, 5, 40))


def _agreement(network: FusionNetwork, path: Path, regions: int, width: int) -> float:
    rng = np.random.default_rng(regions)
    corners = rng.uniform(0, 0.5, (regions, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.5, (regions, 2))], axis=1)
    embeddings = rng.normal(size=(regions, width))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    seen = ImageVectors(boxes.astype(np.float32), embeddings.astype(np.float32))
    theirs = NetworkFusion(path)(seen, network.vectors)
    with torch.inference_mode():
        ours = network(
            torch.from_numpy(seen.embeddings)[None],
            torch.ones(1, regions, dtype=torch.bool),
            torch.from_numpy(seen.boxes)[None],
        )[0].numpy()[: len(theirs)]
    return need_cosine(f"fusion {path}", ours, theirs)


def fusion_part(
    network: FusionNetwork, name: str, vectors: int, folder: Path, head: nn.Linear | None = None
) -> tuple[FusionEntry, float]:
    """Write a fusion to a folder; also returns the lowest cosine of the two runtimes' vectors.

    vectors: k, kept per image by default; head: its linear layer over text embeddings, where it
    has one.
    """
    file, text_head = f"onnx/fusion-{name}.onnx", f"onnx/fusion-{name}-text.onnx"
    if head is None:
        return FusionEntry(name, vectors, file), export_fusion(network, folder / file)
    layer = copy.deepcopy(head).float().cpu()
    inputs = {"text_embeds": torch.randn(3, head.in_features)}
    compute = lambda given: nn.functional.normalize(layer(given), dim=-1)  # noqa: E731
    export_graph(layer, inputs, {0: "t"}, ["queries"], folder / text_head, compute)
    return FusionEntry(name, vectors, file, text_head), export_fusion(network, folder / file)
