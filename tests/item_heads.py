"""Item heads for tests: a graph, and the bundled model with one."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from finesight.matching.item_head import ITEM_HEAD, ItemHead
from finesight.models import BUNDLED
from finesight.models.bundle import Bundle
from finesight.models.parts import ItemsEntry


def write_head(path: Path, weights: np.ndarray) -> None:
    """Write a head that multiplies embeddings with weights (d, e) and normalises."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    width, items = weights.shape
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["regions", "weights"], ["mixed"]),
            helper.make_node("LpNormalization", ["mixed"], ["items"], axis=-1, p=2),
        ],
        "head",
        [helper.make_tensor_value_info("regions", kind, ["n", width])],
        [helper.make_tensor_value_info("items", kind, ["n", items])],
        [onnx.numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def mini_with_items(folder: Path) -> Path:
    """Copy the bundled model to a folder and give it a head that keeps embeddings as they are."""
    with tempfile.TemporaryDirectory() as place:
        write_head(Path(place) / ITEM_HEAD, np.eye(128))
        mini = Bundle.read(BUNDLED["mini"])
        mini.with_part(ItemsEntry(128), Path(place), {"trained": "not at all"}).write(folder)
    return folder


def color_items(folder: Path) -> ItemHead:
    """Return a head, whose file is below a folder, of what is red and green; blue counts little."""
    write_head(folder / ITEM_HEAD, np.diag([1.0, 1.0, 0.001, 0.001]))
    return ItemHead(folder / ITEM_HEAD)
