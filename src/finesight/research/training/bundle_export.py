"""Makes a bundle of any model: PyTorch checkpoints and ONNX folders, in a chosen precision."""

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from finesight.encoders.base import TextTooLongWarning
from finesight.encoders.dense import REGIONS, TOKENS
from finesight.encoders.onnx import OnnxEncoder
from finesight.encoders.torch_hub import TransformersEncoder
from finesight.errors import DataError, InputError
from finesight.files import new_folder
from finesight.models import Model
from finesight.models.bundle import Bundle
from finesight.models.load import open_bundle
from finesight.research.training.checkpoint_export import convert_checkpoint, convert_regions

LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.99}
"""What the bundle's embeddings must keep of the original's, by precision."""

AUTO = "auto"
"""int8, the fastest on CPUs, where its embeddings keep what they must; else fp32."""

_IMAGES = 16
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
    bundle keeps all its parts and scores: they were trained and measured with its own towers, and
    another precision's embeddings are as near to those as the cosines say. In fp32 its towers and
    so its fingerprint stay what they are. The folder appears at the end, whole. Raises InputError
    where it is there already, the precision is unknown or the tower cannot be read so, DataError
    where the model cannot be converted or loses too much.
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
    with new_folder(out) as place:
        report("converting")
        bundle = _converted(model, place.with_name("converted"), dense)
        if precision != "fp32":
            report(f"reducing to {precision}")
            bundle = _reduced(bundle, precision, place.with_name("reduced"))
        written = _described(bundle, model, out.name, precision).write(place)
        report("comparing")
        found = _compared(model, open_bundle(written, str(out)), dense)
        lowest = min(found.values())
        if lowest < LEAST_COSINE[precision]:
            raise _TooFarError(
                f"{model.source} in {precision} keeps only a cosine of {lowest:.5f} to the "
                f"original, at least {LEAST_COSINE[precision]} is needed: take "
                f"{'fp16' if precision == 'int8' else 'fp32'}"
            )
        scores = {f"cosine_{tower}": round(value, 6) for tower, value in found.items()}
        written.with_scores(**scores).write(place)
    return precision, found


def _converted(model: Model, folder: Path, dense: bool) -> Bundle:
    """Return what is exported, in float32; what has to be written for it goes to the folder."""
    encoder = model.encoder
    (folder / "onnx").mkdir(parents=True)
    if isinstance(encoder, OnnxEncoder):
        bundle = Bundle.read(encoder.directory)
    elif isinstance(encoder, TransformersEncoder):
        convert_checkpoint(encoder, folder)
        said = {"prompt": model.prompt, "regions": model.regions, "fit": encoder.preprocessing.fit}
        bundle = Bundle.of_files(folder, name=model.name, **said)
    else:
        raise InputError(
            f"{model.source} cannot be exported: only checkpoints of transformers and models in "
            "the ONNX layout can"
        )
    return bundle.with_part(convert_regions(model, folder), folder) if dense else bundle


def _described(bundle: Bundle, model: Model, name: str, precision: str) -> Bundle:
    """Return a bundle that says what it was exported from; its parts stay what they are."""
    kept = {part.origin for part in bundle.parts} & {*bundle.provenance}
    provenance = {
        "source": model.source,
        "fingerprint": model.fingerprint,
        "precision": precision,
        "command": f"finesight export {model.source} {name} --precision {precision}",
        **{origin: bundle.provenance[origin] for origin in sorted(kept)},
    }
    return replace(bundle, name=name, width=model.encoder.width, provenance=provenance)


class _TooFarError(DataError):
    """The embeddings in a smaller precision are too far from the original's."""


def _compared(model: Model, other: Model, dense: bool) -> dict[str, float]:
    """Return the lowest cosine of two models' embeddings of the same images, texts and windows."""
    ours, theirs = model.encoder, other.encoder
    rng, side = np.random.default_rng(0), ours.preprocessing.side
    # From even colour over soft shapes to noise, as crops of photographs are.
    crops = np.stack([_picture(rng, side, 2 + number % 7 * 4) for number in range(_IMAGES)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TextTooLongWarning)  # what is left of a text will do
        products = {
            "image": ours.encode_images(crops) * theirs.encode_images(crops),
            "text": ours.encode_texts(_TEXTS) * theirs.encode_texts(_TEXTS),
        }
    towers = [tower for tower in (model.dense, other.dense) if tower is not None]
    if dense and len(towers) == 2:
        stride = towers[0].stride
        cells = side // stride
        canvas = _picture(np.random.default_rng(1), 3 * cells // 2 * stride, 9)
        windows = [tower.read(canvas, [cells, max(1, cells // 2)])[1] for tower in towers]
        products["windows"] = windows[0] * windows[1]
    return {tower: float(each.sum(axis=1).min()) for tower, each in products.items()}


def _picture(rng: np.random.Generator, side: int, cells: int) -> np.ndarray:
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def _reduced(bundle: Bundle, precision: str, folder: Path) -> Bundle:
    """Return a bundle with graphs of a smaller precision, with their weights inside."""
    graphs = [*bundle.towers]
    if bundle.dense is not None and bundle.dense.kind == TOKENS:
        graphs.append(REGIONS)
    (folder / "onnx").mkdir(parents=True)
    for file in graphs:
        (_halve if precision == "fp16" else _quantize)(bundle.place(file), folder / file)
    # A graph's weights may stand beside it, in files that begin with its name.
    others = {n: p for n, p in bundle.files.items() if not n.startswith(tuple(graphs))}
    digests = {n: digest for n, digest in bundle.sha256.items() if n in others}
    return replace(bundle, files=others | {n: folder / n for n in graphs}, sha256=digests)


def _halve(path: Path, out: Path) -> None:
    """Turn a graph's weights and arithmetic to float16; inputs and outputs stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values below float16's smallest
        onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), out)


def _quantize(path: Path, out: Path) -> None:
    """Quantize the weights of matrix products to signed 8 bits a channel, dynamically."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "model.onnx"
        graph = onnx.load(path)
        # The exporter's shapes of intermediates are those before its own rewriting, and in the way.
        del graph.graph.value_info[:]
        onnx.save(graph, whole)
        weights = {"per_channel": True, "weight_type": QuantType.QInt8}
        quantize_dynamic(whole, out, op_types_to_quantize=["MatMul", "Gemm"], **weights)
