"""Writes a trained small model as a bundle, which runs without PyTorch."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from finesight.encoders import Preprocessing
from finesight.encoders.dense import HEAD, MAP, DenseEntry
from finesight.files import write_json
from finesight.models.bundle import Bundle
from finesight.research.networks.small_clip import SmallClip
from finesight.research.training.encoder.augmentation import MEAN, STD
from finesight.research.training.encoder.concepts import Concepts
from finesight.research.training.encoder.training import TrainedEncoder
from finesight.research.training.encoder.weights import config_of, save_weights
from finesight.research.training.export import export_graph, need_cosine, run_both


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
    features = network.image.features
    pooled = torch.randn(3, network.image.project.in_features)
    outputs = ["image_embeds", "last_hidden_state"]
    both = lambda pixels: (network.image.pool(found := features(pixels)), found)  # noqa: E731
    export_graph(network.image, {"pixel_values": pixels}, {0: "b"}, outputs, image, both)
    inputs = {"input_ids": tokens, "attention_mask": mask}
    export_graph(network.text, inputs, {0: "t", 1: "w"}, ["text_embeds"], text)
    # What reads many windows out of the map of a larger canvas (encoders/dense.py).
    canvas = {"pixel_values": torch.randn(2, 3, 2 * settings.image_size, 3 * settings.image_size)}
    axes = {0: "b", 2: "height", 3: "width"}
    export_graph(network.image, canvas, axes, ["features"], directory / MAP, features)
    project, axes = network.image.project, {0: "n"}
    export_graph(project, {"pooled": pooled}, axes, ["region_embeds"], directory / HEAD)
    shorter = {name: value[:1, :5] for name, value in inputs.items()}
    checks: list[tuple[nn.Module, dict[str, torch.Tensor], Path]] = [
        (network.image, {"pixel_values": pixels}, image),
        (network.text, inputs, text),
        (network.text, shorter, text),
    ]
    lowest = min(need_cosine(f"model {each[-1]}", *run_both(*each)) for each in checks)
    tokenizer.save(str(directory / "tokenizer.json"))
    write_json(directory / "config.json", config_of(network))
    pixels_of = Preprocessing(settings.image_size, (MEAN,) * 3, (STD,) * 3)
    write_json(directory / "preprocessor_config.json", pixels_of.config())
    return lowest


def write_encoder_bundle(
    trained: TrainedEncoder, concepts: Concepts, provenance: Mapping[str, Any], out: Path
) -> dict[str, float]:
    """Write network, tokenizer and manifest to `out`; return the scores that stand in it.

    concepts: what it knows to name.
    """
    agreement = export_small_clip(trained.network, trained.tokenizer, out)
    scores = {name: round(value, 4) for name, value in trained.scores.items()}
    scores["onnx_cosine"] = round(agreement, 6)
    settings = trained.network.settings
    Bundle.of_files(
        out,
        name=out.name,
        width=settings.width,
        provenance=dict(provenance),
        scores=scores,
        dense=DenseEntry(settings.stride),
        knows={"things": concepts.classes, "colors": concepts.colors},
    ).write(out)
    return scores
