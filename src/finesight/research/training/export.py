"""Writes a trained small model as a bundle folder that runs without PyTorch."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer
from torch import nn

from finesight.encoders import dense as dense_files
from finesight.errors import FinesightError
from finesight.graphs import Graph
from finesight.research.networks.small_clip import ImageTower, SmallClip
from finesight.research.training.encoder.augmentation import MEAN, STD
from finesight.research.training.encoder.weights import save_weights

LEAST_COSINE = 0.9999  # between what PyTorch and ONNX Runtime compute
ANY = "any"  # the name of an axis whose length the exporter relates to others by itself
BICUBIC = 3  # Pillow's number, which preprocessor configurations use


def export_small_clip(network: SmallClip, tokenizer: Tokenizer, directory: Path) -> float:
    """Write network and tokenizer in the layout of the hub's ONNX models.

    Returns the lowest cosine between the two runtimes' embeddings of the same random inputs; raises
    FinesightError when it is too low.
    """
    (directory / "onnx").mkdir(parents=True, exist_ok=True)
    save_weights(network, directory)
    settings = network.settings
    network = copy.deepcopy(network).float().eval()
    network.image.fold()
    pixels = torch.randn(3, 3, settings.image_size, settings.image_size)
    tokens = torch.randint(settings.vocabulary, (3, 7))
    mask = (torch.arange(7) < torch.tensor([[7], [5], [2]])).long()
    image = directory / "onnx" / "vision_model.onnx"
    text = directory / "onnx" / "text_model.onnx"
    tower = _WithMap(network.image)
    outputs = ["image_embeds", "last_hidden_state"]
    export_graph(tower, {"pixel_values": pixels}, {0: "b"}, outputs, image)
    inputs = {"input_ids": tokens, "attention_mask": mask}
    export_graph(network.text, inputs, {0: "t", 1: "w"}, ["text_embeds"], text)
    _export_dense(network.image, settings.image_size, directory)
    lowest = min(
        _agreement(network.image, {"pixel_values": pixels}, image),
        _agreement(network.text, inputs, text),
        _agreement(network.text, {name: value[:1, :5] for name, value in inputs.items()}, text),
    )
    if lowest < LEAST_COSINE:
        raise FinesightError(
            f"the exported model in {directory} disagrees with PyTorch (cosine {lowest:.5f}): "
            "do not use it, and report this with the versions of torch and onnxruntime"
        )
    tokenizer.save(str(directory / "tokenizer.json"))
    _write_json(directory / "config.json", _config(network))
    _write_json(directory / "preprocessor_config.json", _preprocessor(settings.image_size))
    return lowest


class _WithMap(nn.Module):
    """The image tower with its last feature map beside the embedding."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (b, 3, height, width) → (b, d) and (b, c, h, w)."""
        features = self.tower.features(pixels)
        return self.tower.pool(features), features


def _export_dense(tower: ImageTower, side: int, directory: Path) -> None:
    """The graphs that read many windows out of the map of a larger canvas (encoders/dense.py)."""
    pixels = torch.randn(2, 3, 2 * side, 3 * side)
    axes = {0: "b", 2: "height", 3: "width"}
    dense = directory / dense_files.MAP
    export_graph(_Map(tower), {"pixel_values": pixels}, axes, ["features"], dense)
    pooled = torch.randn(3, tower.project.in_features)
    head = directory / dense_files.HEAD
    export_graph(tower.project, {"pooled": pooled}, {0: "n"}, ["region_embeds"], head)


class _Map(nn.Module):
    """The image tower up to its last feature map."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (b, 3, height, width) → (b, c, h, w)."""
        return self.tower.features(pixels)


def export_graph(
    module: nn.Module,
    inputs: dict[str, torch.Tensor],
    dynamic: dict[int, str] | Sequence[dict[int, str]],
    outputs: list[str],
    path: Path,
) -> None:
    """Write a module as one ONNX file.

    dynamic: the axes that may vary, by name, the same of every input or one after the other.
    """
    each = [dynamic] * len(inputs) if isinstance(dynamic, dict) else dynamic
    names = sorted({name for axes in each for name in axes.values()})
    varies = {n: torch.export.Dim.DYNAMIC if n == ANY else torch.export.Dim(n) for n in names}
    shapes = tuple({axis: varies[name] for axis, name in axes.items()} for axes in each)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            torch.onnx.export(
                module,
                tuple(inputs.values()),
                str(path),
                input_names=list(inputs),
                output_names=outputs,
                dynamic_shapes=shapes,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    model = onnx.load(path, load_external_data=False)
    if any(weight.external_data for weight in model.graph.initializer):
        raise FinesightError(f"{path} was written without its weights: update torch and onnxscript")
    # The exporter notes where in the source each operator comes from, with this machine's paths.
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.save(model, path)


def export_regions(module: nn.Module, inputs: dict[str, torch.Tensor], path: Path) -> None:
    """Write a RegionTokens network for square canvases of any size and any windows."""
    axes = ({2: ANY, 3: ANY}, {0: ANY, 1: ANY})
    export_graph(module, inputs, axes, ["region_embeds"], path)


def _agreement(module: nn.Module, inputs: dict[str, torch.Tensor], path: Path) -> float:
    with torch.inference_mode():
        ours = module(*inputs.values()).numpy()
    theirs = Graph(path).run({name: value.numpy() for name, value in inputs.items()})[0]
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(axis=1) / norms).min())


def _config(network: SmallClip) -> dict[str, Any]:
    settings = network.settings
    return {
        "model_type": "finesight-small-clip",
        "projection_dim": settings.width,
        "logit_scale_init_value": round(network.log_scale.item(), 4),
        "vision_config": {
            "image_size": settings.image_size,
            "stem": settings.stem,
            "stages": list(settings.stages),
            "blocks": list(settings.blocks),
            "strides": list(settings.strides),
        },
        "text_config": {
            "vocab_size": settings.vocabulary,
            "max_position_embeddings": settings.longest_text,
            "hidden_size": settings.text_width,
            "num_hidden_layers": settings.text_layers,
            "num_attention_heads": settings.text_heads,
        },
    }


def _preprocessor(side: int) -> dict[str, Any]:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": side, "width": side},
        "resample": BICUBIC,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
