"""Puts a trained fusion into a model bundle, where it runs without PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from finesight.fusion import NetworkFusion
from finesight.models.parts import FusionEntry
from finesight.research.networks.clusters import SalientClusters
from finesight.research.networks.fusion import FusionNetwork
from finesight.research.training.export import export_graph, need_cosine, put_part
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


def export_text_head(head: nn.Linear, path: Path) -> None:
    """Write the linear layer over text embeddings of a fusion as one ONNX file."""
    layer = copy.deepcopy(head).float().cpu()
    inputs = {"text_embeds": torch.randn(3, head.in_features)}
    export_graph(
        layer,
        inputs,
        {0: "t"},
        ["queries"],
        path,
        lambda embeddings: nn.functional.normalize(layer(embeddings), dim=-1),
    )


def put_into_bundle(
    network: FusionNetwork,
    bundle: Path,
    name: str,
    vectors: int,
    provenance: Mapping[str, Any],
    out: Path | None = None,
    head: nn.Linear | None = None,
) -> float:
    """Add a fusion to a bundle, or to a copy of it, and make it the bundle's default.

    vectors: k, kept per image by default; head: its linear layer over text embeddings,
    where it has one. Returns the agreement of the two runtimes. Raises InputError: see put_part.
    """
    file, text_head = f"onnx/fusion-{name}.onnx", f"onnx/fusion-{name}-text.onnx"
    part = FusionEntry(name, vectors, file, None if head is None else text_head)

    def export(folder: Path) -> tuple[FusionEntry, float]:
        if head is not None:
            export_text_head(head, folder / text_head)
        return part, export_fusion(network, folder / file)

    return put_part(bundle, out, provenance, export)
