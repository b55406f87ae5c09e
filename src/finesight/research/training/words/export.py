"""The two towers of a model of words, as ONNX graphs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import compose, helper, version_converter
from torch import Tensor, nn

from finesight.graphs import Graph
from finesight.research.networks.color_names import ColorNames
from finesight.research.training.export import export_graph, need_cosine
from finesight.research.training.words.classifier import PIXELS, Classifier
from finesight.research.training.words.space import WordSpace
from finesight.types import Float32

EMBEDDING = "image_embeds"
_BATCH = 8  # images that activations are measured on at a time


class ImageTail(nn.Module):
    """What follows a classifier: pixels, features and logits → embeddings (b, d)."""

    mean: Tensor
    directions: Tensor
    frame: Tensor

    def __init__(self, space: WordSpace, classifier: Classifier) -> None:
        super().__init__()
        pre = classifier.preprocessing
        # An encoder's pixels are (value · factor + offset − mean) / std, of a value in 0..255.
        factor = [std / pre.factor / 255 for std in pre.std]
        shift = [(mean - pre.offset) / pre.factor / 255 for mean in pre.mean]
        self.colors = ColorNames(pre.side, factor, shift)
        self.share, self.of_colors = space.appearance, space.settings.colors
        features = classifier.weights.shape[1]
        none = np.zeros((features, 0), np.float32)
        mean = np.zeros(features, np.float32) if space.mean is None else space.mean
        directions = none if space.directions is None else space.directions
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("directions", torch.from_numpy(directions))
        self.register_buffer("frame", torch.from_numpy(space.frame))

    def forward(self, pixels: Tensor, features: Tensor, logits: Tensor) -> Tensor:
        """Weigh appearance, classes and colours (see WordSpace)."""
        # Not brought to length 1: what may be any of a hundred things is then none of them.
        parts = [(1 - self.share) ** 0.5 * torch.softmax(logits, dim=-1) @ self.frame]
        if self.share:
            appearance = F.normalize((features - self.mean) @ self.directions, dim=-1)
            parts.insert(0, self.share**0.5 * appearance)
        seen = (1 - self.of_colors) ** 0.5 * torch.cat(parts, dim=-1)
        return torch.cat([seen, self.of_colors**0.5 * self.colors(pixels)], dim=-1)


@dataclass(frozen=True)
class WordTable:
    """The vectors of tokens: each token has a row, and synonyms share one.

    rows: of each token, row 0 of tokens without a meaning; vectors (r, d), the first one zeros.
    """

    rows: np.ndarray
    vectors: Float32


class TextTower(nn.Module):
    """Token ids and mask (t, w) → the sum of the words' vectors (t, d)."""

    rows: Tensor
    vectors: Tensor
    scales: Tensor

    def __init__(self, table: WordTable, small: bool) -> None:
        super().__init__()
        vectors = torch.from_numpy(table.vectors)
        scales = vectors.abs().amax(dim=1, keepdim=True).clamp(min=1e-9) / 127
        self.register_buffer("rows", torch.from_numpy(table.rows.astype(np.int64)))
        self.register_buffer("vectors", (vectors / scales).round().char() if small else vectors)
        self.register_buffer("scales", scales if small else torch.ones_like(scales))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Add up the words that are there."""
        rows = self.rows[input_ids]
        words = self.vectors[rows].float() * self.scales[rows]
        return (words * attention_mask[:, :, None].float()).sum(dim=1)


def write_image_tower(
    classifier: Classifier, space: WordSpace, path: Path, pixels: Float32 | None
) -> float:
    """Write the image tower; return its lowest cosine with what PyTorch makes of the classifier.

    pixels (p, 3, side, side): those that the classifier is quantized to 8 bits with, None to leave
    it in float32.
    """
    side = classifier.preprocessing.side
    graph = with_features(classifier)
    given = torch.rand(3, 3, side, side)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        onnx.save(graph, folder / "classifier.onnx")
        if pixels is not None:
            _quantize(folder / "classifier.onnx", folder / "small.onnx", pixels)
            graph = onnx.load(folder / "small.onnx")
            onnx.save(graph, folder / "classifier.onnx")
        tail = ImageTail(space, classifier).eval()
        names = [classifier.features, classifier.logits]
        seen = Graph(folder / "classifier.onnx").run({PIXELS: given.numpy()}, names)
        inputs = {
            "pixels": given,
            "features": torch.from_numpy(seen[0]),
            "logits": torch.from_numpy(seen[1]),
        }
        export_graph(tail, inputs, {0: "b"}, [EMBEDDING], folder / "tail.onnx")
        onnx.save(_joined(graph, onnx.load(folder / "tail.onnx"), classifier), path)
        with torch.inference_mode():
            ours = tail(*inputs.values()).numpy()
    theirs = Graph(path).run({PIXELS: given.numpy()}, [EMBEDDING])[0]
    return need_cosine("image tower", ours, theirs)


def write_text_tower(table: WordTable, path: Path, small: bool) -> None:
    """Write the text tower; small: with vectors of 8 bits, each row scaled by itself."""
    tower = TextTower(table, small).eval()
    tokens = torch.randint(len(table.rows), (3, 7))
    inputs = {"input_ids": tokens, "attention_mask": torch.ones(3, 7, dtype=torch.long)}
    export_graph(tower, inputs, {0: "t", 1: "w"}, ["text_embeds"], path)


def with_features(classifier: Classifier) -> onnx.ModelProto:
    """Return the classifier's graph with its features among its outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(classifier.graph)
    # The exporter's shapes of intermediates are those before its own rewriting, and in the way.
    del model.graph.value_info[:]
    kind = helper.make_tensor_value_info(
        classifier.features, onnx.TensorProto.FLOAT, ["b", classifier.weights.shape[1]]
    )
    model.graph.output.append(kind)
    return model


def _joined(
    model: onnx.ModelProto, tail: onnx.ModelProto, classifier: Classifier
) -> onnx.ModelProto:
    """Return one graph of a classifier and what follows it; its feature map stays an output."""
    version = max(each.version for each in tail.opset_import if not each.domain)
    if max(each.version for each in model.opset_import if not each.domain) != version:
        model = version_converter.convert_version(model, version)
    again = f"{PIXELS}_again"
    model.graph.node.append(helper.make_node("Identity", [PIXELS], [again]))
    kind = helper.make_tensor_value_info(again, onnx.TensorProto.FLOAT, None)
    model.graph.output.append(kind)
    maps = [each.name for each in model.graph.output if each.name == "last_hidden_state"]
    tail = compose.add_prefix(tail, "tail/")
    model.ir_version = tail.ir_version = max(model.ir_version, tail.ir_version)
    pairs = [
        (again, "tail/pixels"),
        (classifier.features, "tail/features"),
        (classifier.logits, "tail/logits"),
    ]
    whole = compose.merge_models(
        model, tail, io_map=pairs, outputs=[f"tail/{EMBEDDING}", *maps], name="words"
    )
    for node in whole.graph.node:
        node.output[:] = [EMBEDDING if o == f"tail/{EMBEDDING}" else o for o in node.output]
    for given in whole.graph.output:
        given.name = given.name.removeprefix("tail/")
    del whole.metadata_props[:]
    return whole


def _quantize(path: Path, out: Path, pixels: Float32) -> None:
    """Quantize weights a channel and activations, statically: what convolutions are faster by."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterator[Float32] = iter(
                pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)
            )

        def get_next(self) -> dict[str, Float32] | None:
            batch = next(self._left, None)
            return None if batch is None else {PIXELS: batch}

    with tempfile.TemporaryDirectory() as place:
        ready = Path(place) / "ready.onnx"
        quant_pre_process(path, ready, skip_symbolic_shape=True)
        # Activations without a sign are more than ten times as fast as signed ones on x86.
        quantize_static(
            ready,
            out,
            Batches(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
