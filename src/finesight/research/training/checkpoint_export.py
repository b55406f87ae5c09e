"""Converts a checkpoint of transformers to a folder in the hub's ONNX layout."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from finesight.encoders.dense import REGIONS, TOKENS, DenseEntry
from finesight.encoders.torch_checkpoints import processor_file
from finesight.encoders.torch_hub import TransformersEncoder
from finesight.encoders.torch_regions import TorchRegions
from finesight.errors import DataError, InputError, first_line
from finesight.files import write_json
from finesight.models import Model
from finesight.research.training.export import ANY, export_graph

_TEXTS = ["a photo of a red mug", "car"]  # tokens to trace the text tower with


def convert_checkpoint(encoder: TransformersEncoder, folder: Path) -> None:
    """Write towers, tokenizer, configuration and preprocessing, in float32.

    Raises DataError where one of them cannot be converted.
    """
    config = json.loads((encoder.directory / "config.json").read_text(encoding="utf-8"))
    shutil.copy(processor_file(encoder.directory), folder / "preprocessor_config.json")
    tokenizer = encoder.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(
            f"{encoder.directory} has a tokenizer that cannot be written as tokenizer.json: "
            "take a repository with one"
        )
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    text = config.setdefault("text_config", {})
    text["max_position_embeddings"] = encoder.longest_text
    text["pad_token_id"] = tokenizer.pad_token_id
    config["projection_dim"] = encoder.width
    write_json(folder / "config.json", config)
    model = encoder.model.float().cpu()
    siglip = model.config.model_type.startswith("siglip")
    names = ("pooler_output",) * 2 if siglip else ("image_embeds", "text_embeds")
    side = encoder.preprocessing.side
    pixels = {"pixel_values": torch.zeros(2, 3, side, side)}
    tokens = encoder.tokens(_TEXTS)
    batch = {0: "b"} if siglip else {0: "t", 1: "w"}

    def image(pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding (b, d), and the tower's own tokens or map."""
        output = model.get_image_features(pixels)
        return output.pooler_output, output.last_hidden_state

    def words(*tokens: Tensor) -> Any:
        """The embedding (t, d) of ids, with their mask where the model uses one."""
        return model.get_text_features(*tokens).pooler_output

    outputs = [names[0], "last_hidden_state"]
    onnx = folder / "onnx"
    try:
        export_graph(model, pixels, {0: "b"}, outputs, onnx / "vision_model.onnx", image)
        export_graph(model, tokens, batch, [names[1]], onnx / "text_model.onnx", words)
    except Exception as error:  # the exporter raises many kinds
        raise DataError(
            f"{encoder.directory} (a model of type {model.config.model_type}) cannot be converted "
            f"to ONNX ({first_line(error)[:200]}): use it in PyTorch as it is"
        ) from error


def convert_regions(model: Model, folder: Path) -> DenseEntry:
    """Write the tower with class tokens of its own for windows (torch_regions.py).

    For square canvases of any size and any windows. Raises InputError for a model that has no such
    tower, DataError where it cannot be converted.
    """
    tower = model.dense
    if not isinstance(tower, TorchRegions):
        raise InputError(
            f"{model.source} has no vision transformer in PyTorch, out of which windows could be "
            "read: leave out --dense"
        )
    network = tower.network.float().cpu()
    across = tower.preprocessing.side // tower.stride
    inputs = {
        "pixel_values": torch.zeros(1, 3, *(2 * across * tower.stride,) * 2),
        "windows": torch.ones(3, (2 * across) ** 2),
    }
    try:
        axes = ({2: ANY, 3: ANY}, {0: ANY, 1: ANY})
        export_graph(network, inputs, axes, ["region_embeds"], folder / REGIONS)
    except Exception as error:  # the exporter raises many kinds
        raise DataError(
            f"{model.source} cannot be converted so that it reads windows out of one canvas "
            f"({first_line(error)[:200]}): leave out --dense"
        ) from error
    return DenseEntry(tower.stride, TOKENS)
