"""Puts a trained fusion into a model bundle, where it runs without PyTorch."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from finesight.errors import FinesightError, InputError
from finesight.fusion import NetworkFusion
from finesight.models.bundle import MANIFEST, add_fusion
from finesight.research.networks.fusion import FusionNetwork, SalientClusters
from finesight.research.training.export import export_graph
from finesight.types import ImageVectors

LEAST_COSINE = 0.9999  # between what PyTorch and ONNX Runtime compute


class _Weights(nn.Module):
    """The part of the clusters that is learned: a weight for every region."""

    def __init__(self, network: SalientClusters) -> None:
        super().__init__()
        self.network = network

    def forward(self, regions: Tensor, there: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Regions (b, p, d), there (b, p), boxes (b, p, 4) → weights (b, p), temperature ()."""
        weights = self.network.weights(regions, there, boxes)
        return weights, self.network.log_temperature.exp()


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
        export_graph(_Weights(network), inputs, axes, ["weights", "temperature"], path)
    else:
        export_graph(network, inputs, axes, ["vectors"], path)
    lowest = min(_agreement(network, path, count, width) for count in (1, 5, 40))
    if lowest < LEAST_COSINE:
        raise FinesightError(
            f"the exported fusion {path} disagrees with PyTorch (cosine {lowest:.5f}): do not use "
            "it, and report this with the versions of torch and onnxruntime"
        )
    return lowest


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
    return float((ours * theirs).sum(axis=1).min())


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

    vectors: k, kept per image unless told otherwise; head: its linear layer over text embeddings,
    where it has one. Returns the agreement of the two runtimes.
    Raises InputError where `bundle` is none of ours or `out` is there already.
    """
    bundle = bundle_to_change(bundle, out)
    file = f"onnx/fusion-{name}.onnx"
    agreement = export_fusion(network, bundle / file)
    text_head = None
    if head is not None:
        text_head = f"onnx/fusion-{name}-text.onnx"
        export_text_head(head, bundle / text_head)
    add_fusion(bundle, name, file, vectors, provenance, text_head)
    return agreement


def bundle_to_change(bundle: Path, out: Path | None) -> Path:
    """Return a bundle, or the copy of it that is made in `out`.

    Raises InputError where `bundle` is none of ours or `out` is there already.
    """
    if not (bundle / MANIFEST).is_file():
        raise InputError(f"{bundle} is not a bundle of finesight: make one with `finesight export`")
    if out is None:
        return bundle
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder")
    shutil.copytree(bundle, out)
    return out


class _Unit(nn.Module):
    """A linear layer whose answers are of length 1."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.head = head

    def forward(self, embeddings: Tensor) -> Tensor:
        """Embeddings (t, d) → (t, d)."""
        return nn.functional.normalize(self.head(embeddings), dim=-1)


def export_text_head(head: nn.Linear, path: Path) -> None:
    """Write the linear layer over text embeddings of a fusion as one ONNX file."""
    embeddings = torch.randn(3, head.in_features)
    unit = _Unit(copy.deepcopy(head).float().cpu()).eval()
    export_graph(unit, {"text_embeds": embeddings}, {0: "t"}, ["queries"], path)
