"""Puts a trained fusion into a model bundle, where it runs without PyTorch."""

import copy
from pathlib import Path

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
    inputs = _made_up(2, 7, width)
    inputs["there"][1, 5:] = False
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
    inputs = _made_up(1, regions, width)
    seen = ImageVectors(inputs["boxes"][0].numpy(), inputs["regions"][0].numpy())
    theirs = NetworkFusion(path)(seen, network.vectors)
    with torch.inference_mode():
        ours = network(*inputs.values())[0].numpy()[: len(theirs)]
    return need_cosine(f"fusion {path}", ours, theirs)


def _made_up(images: int, regions: int, width: int) -> dict[str, Tensor]:
    """Return what a fusion takes, in its order, with random regions, all of them there."""
    generator = torch.Generator().manual_seed(regions)
    embeddings = torch.randn(images, regions, width, generator=generator)
    corners, sides = torch.rand(2, images, regions, 2, generator=generator)
    return {
        "regions": nn.functional.normalize(embeddings, dim=-1),
        "there": torch.ones(images, regions, dtype=torch.bool),
        "boxes": torch.cat([corners / 2, corners / 2 + 0.1 + sides / 4], -1),
    }


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
