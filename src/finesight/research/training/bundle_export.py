"""Makes a bundle of any model: PyTorch checkpoints and ONNX folders, in a chosen precision."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from finesight.encoders import Encoder
from finesight.encoders.dense import (
    HEAD,
    MAP,
    POOLED,
    REGIONS,
    TOKENS,
    DenseEntry,
    DenseTower,
    PooledTower,
    TokenTower,
    open_tower,
)
from finesight.encoders.onnx import OnnxEncoder, tower_files
from finesight.encoders.torch_hub import TransformersEncoder, processor_file
from finesight.encoders.torch_regions import TorchRegions
from finesight.errors import DataError, InputError
from finesight.fusion import NetworkFusion
from finesight.models import Model
from finesight.models.bundle import MANIFEST, add_fusion, add_objectness, write_manifest
from finesight.proposals.finder import OBJECTNESS
from finesight.research.training.export import export_graph, export_regions

LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.99}
"""What the bundle's embeddings must keep of the original's, by precision."""

AUTO = "auto"
"""int8, the fastest on CPUs, where its embeddings keep what they must; else fp32."""

_TOWERS = ("onnx/vision_model.onnx", "onnx/text_model.onnx")
_TEXTS = (
    "a photo of a red mug",
    "car",
    "two dogs that run along a beach in the evening, seen from behind",
    "a small blue bottle to the left of a large metal chair",
)


def export_model(
    model: Model,
    out: Path,
    precision: str = AUTO,
    report: Callable[[str], None] = lambda doing: None,
    dense: bool = False,
) -> tuple[str, dict[str, float]]:
    """Write a model as a bundle; return its precision and the lowest cosines to the original.

    precision: of LEAST_COSINE, or "auto" for int8 where it keeps what it must, else fp32; dense:
    also write the graph that reads many windows out of one canvas, as large as the image tower. A
    bundle's own graphs for looking are taken over. The folder appears at the end, whole. Raises
    InputError where it is there already, the precision is unknown or the tower cannot be read so,
    DataError where the model cannot be converted or loses too much.
    """
    if precision == AUTO:
        try:
            return export_model(model, out, "int8", report, dense)
        except _TooFarError as error:
            report(f"{error}; taking fp32")
            return export_model(model, out, "fp32", report, dense)
    if precision not in LEAST_COSINE:
        known = ", ".join((AUTO, *LEAST_COSINE))
        raise InputError(f"unknown precision {precision!r}: use one of {known}")
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise InputError(f"{out} is there already: name a new folder")
    encoder = model.encoder
    if not isinstance(encoder, TransformersEncoder | OnnxEncoder):
        raise InputError(
            f"{model.source} cannot be exported: only checkpoints of transformers and models in "
            "the ONNX layout can"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        folder = Path(place) / "bundle"
        (folder / "onnx").mkdir(parents=True)
        _copy_descriptions(encoder, folder)
        report("converting")
        if isinstance(encoder, TransformersEncoder):
            _trace(encoder, folder)
        else:
            _copy_towers(encoder, folder)
        entry = _trace_regions(model, folder) if dense else _copy_dense(model, folder)
        if precision != "fp32":
            report(f"reducing to {precision}")
            for tower in (*_TOWERS, *([REGIONS] if entry and entry.kind == TOKENS else [])):
                (_halve if precision == "fp16" else _quantize)(folder / tower)
        report("comparing")
        written = OnnxEncoder(folder, fit=encoder.preprocessing.fit)
        found = compare(encoder, written)
        if dense and entry is not None and model.capabilities.dense is not None:
            reader = open_tower(folder, written.preprocessing, entry)
            found["windows"] = _compare_windows(model.capabilities.dense, reader)
        lowest = min(found.values())
        if lowest < LEAST_COSINE[precision]:
            raise _TooFarError(
                f"{model.source} in {precision} keeps only a cosine of {lowest:.5f} to the "
                f"original, at least {LEAST_COSINE[precision]} is needed: take "
                f"{'fp16' if precision == 'int8' else 'fp32'}"
            )
        write_manifest(
            folder,
            name=out.name,
            width=encoder.width,
            proposer={"kind": "effort", "regions": model.regions},
            prompt=model.prompt,
            fit=encoder.preprocessing.fit,
            provenance={
                "source": model.source,
                "fingerprint": model.fingerprint,
                "precision": precision,
                "command": f"finesight export {model.source} {out.name} --precision {precision}",
            },
            scores={f"cosine_{tower}": round(value, 6) for tower, value in found.items()},
            dense=entry,
        )
        _copy_objectness(model, folder)
        _copy_fusion(model, folder)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    return precision, found


class _TooFarError(DataError):
    """The embeddings in a smaller precision are too far from the original's."""


def compare(original: Encoder, other: Encoder, images: int = 16) -> dict[str, float]:
    """Return the lowest cosine of two encoders' embeddings of the same images and texts."""
    side = original.preprocessing.side
    rng = np.random.default_rng(0)
    # From even colour over soft shapes to noise, as crops of photographs are.
    crops = np.stack([_picture(rng, side, 2 + number % 7 * 4) for number in range(images)])
    cosines = {
        "image": original.encode_images(crops) * other.encode_images(crops),
        "text": original.encode_texts(_TEXTS) * other.encode_texts(_TEXTS),
    }
    return {tower: float(found.sum(axis=1).min()) for tower, found in cosines.items()}


def _picture(rng: np.random.Generator, side: int, cells: int) -> np.ndarray:
    from PIL import Image

    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def _copy_fusion(model: Model, folder: Path) -> None:
    """Take over the trained fusion of a bundle that is exported again."""
    if not isinstance(model.fusion, NetworkFusion) or model.directory is None:
        return
    source = json.loads((model.directory / MANIFEST).read_text(encoding="utf-8"))
    file = source["fusions"][source["fusion"]]["file"]
    shutil.copy(model.directory / file, folder / file)
    provenance = source["provenance"].get("fusion", {})
    add_fusion(folder, source["fusion"], file, model.vectors, provenance)


def _copy_objectness(model: Model, folder: Path) -> None:
    """Take over what tells a bundle's objects."""
    finder = model.capabilities.objects
    if finder is None:
        return
    source = json.loads((finder.directory / MANIFEST).read_text(encoding="utf-8"))
    shutil.copy(finder.directory / OBJECTNESS, folder / OBJECTNESS)
    provenance = source["provenance"].get("objectness", {})
    add_objectness(folder, finder.cost, provenance)


def _copy_dense(model: Model, folder: Path) -> DenseEntry | None:
    """Take over the graphs with which a bundle reads many windows out of one canvas."""
    tower = model.capabilities.dense
    if isinstance(tower, PooledTower) and model.directory:
        for file in (MAP, HEAD):
            shutil.copy(model.directory / file, folder / file)
        return DenseEntry(tower.stride, POOLED)
    if isinstance(tower, TokenTower) and model.directory:
        shutil.copy(model.directory / REGIONS, folder / REGIONS)
        return DenseEntry(tower.stride, TOKENS)
    return None


def _trace_regions(model: Model, folder: Path) -> DenseEntry:
    """Convert the tower with class tokens of its own for windows (torch_region_tokens.py)."""
    tower = model.capabilities.dense
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
        export_regions(network, inputs, folder / REGIONS)
    except Exception as error:  # the exporter raises many kinds
        raise DataError(
            f"{model.source} cannot be converted so that it reads windows out of one canvas "
            f"({str(error).splitlines()[0][:200]}): leave out --dense"
        ) from error
    return DenseEntry(tower.stride, TOKENS)


def _compare_windows(original: DenseTower, other: DenseTower) -> float:
    """Return the lowest cosine of two towers' windows of the same canvas, larger than a crop."""
    cells = original.preprocessing.side // original.stride
    side = 3 * cells // 2 * original.stride
    canvas = _picture(np.random.default_rng(1), side, 9)
    ours, theirs = (
        tower.read(canvas, [cells, max(1, cells // 2)])[1] for tower in (original, other)
    )
    return float((ours * theirs).sum(axis=1).min())


def _copy_descriptions(encoder: TransformersEncoder | OnnxEncoder, folder: Path) -> None:
    """Copy configuration and processor; write the tokenizer as one `tokenizer.json`."""
    config = json.loads((encoder.directory / "config.json").read_text(encoding="utf-8"))
    if isinstance(encoder, TransformersEncoder):
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
    else:
        for name in ("preprocessor_config.json", "tokenizer.json"):
            shutil.copy(encoder.directory / name, folder / name)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


class _ImageTower(nn.Module):
    """Pixels to the embedding and the last feature map."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (b, 3, side, side) → (b, d) and the tower's own tokens or map."""
        output = self.model.get_image_features(pixels)
        return output.pooler_output, output.last_hidden_state


class _TextTower(nn.Module):
    """Token ids, with a mask where the model uses one, to the embedding."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Ids and mask (t, w) → (t, d)."""
        if attention_mask is None:
            found: Tensor = self.model.get_text_features(input_ids).pooler_output
        else:
            found = self.model.get_text_features(input_ids, attention_mask).pooler_output
        return found


def _trace(encoder: TransformersEncoder, folder: Path) -> None:
    """Convert both towers of a PyTorch model."""
    model = encoder.model.float().cpu()
    siglip = model.config.model_type.startswith("siglip")
    names = ("pooler_output",) * 2 if siglip else ("image_embeds", "text_embeds")
    side = encoder.preprocessing.side
    pixels = {"pixel_values": torch.zeros(2, 3, side, side)}
    tokens = encoder.tokens(_TEXTS[:2])
    batch = {0: "b"} if siglip else {0: "t", 1: "w"}
    try:
        outputs = [names[0], "last_hidden_state"]
        export_graph(_ImageTower(model), pixels, {0: "b"}, outputs, folder / _TOWERS[0])
        export_graph(_TextTower(model), tokens, batch, [names[1]], folder / _TOWERS[1])
    except Exception as error:  # the exporter raises many kinds
        raise DataError(
            f"{encoder.directory} (a model of type {model.config.model_type}) cannot be converted "
            f"to ONNX ({str(error).splitlines()[0][:200]}): use it in PyTorch as it is"
        ) from error


def _copy_towers(encoder: OnnxEncoder, folder: Path) -> None:
    """Copy both graphs, with their weights inside."""
    import onnx

    for source, target in zip(tower_files(encoder.directory), _TOWERS, strict=True):
        onnx.save(onnx.load(encoder.directory / source), folder / target)


def _halve(path: Path) -> None:
    """Turn a graph's weights and arithmetic to float16; inputs and outputs stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values below float16's smallest
        onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), path)


def _quantize(path: Path) -> None:
    """Quantize the weights of matrix products to signed 8 bits a channel, dynamically."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "model.onnx"
        graph = onnx.load(path)
        # The exporter's shapes of intermediates are those before its own rewriting, and in the way.
        del graph.graph.value_info[:]
        onnx.save(graph, whole)
        quantize_dynamic(
            whole,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
