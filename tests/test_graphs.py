import shutil

import numpy as np
import pytest

from finesight.errors import DataError
from finesight.graphs import Graph
from finesight.models import BUNDLED

TEXT = BUNDLED["mini"] / "onnx" / "text_model.onnx"
IDS = np.array([[2, 5, 3]], np.int64)


def test_a_graph_takes_what_it_needs_by_name():
    graph = Graph(TEXT)
    given = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}
    assert list(graph.inputs) == ["input_ids", "attention_mask"]
    assert graph.outputs == ["text_embeds"]
    (found,) = graph.run({**given, "something": IDS})
    np.testing.assert_array_equal(graph.run(given, ["text_embeds"])[0], found)
    assert found.shape == (1, 128)


def test_a_graph_is_opened_when_it_is_used(tmp_path):
    graph = Graph(tmp_path / "a.onnx")
    with pytest.raises(DataError, match=r"a\.onnx is missing: download, export or install"):
        graph.run({})
    shutil.copy(TEXT, tmp_path / "a.onnx")
    assert graph.outputs == ["text_embeds"]


def test_a_damaged_graph_is_one_sentence(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"a\.onnx is damaged \(.+\): download, export or install"):
        _ = Graph(tmp_path / "a.onnx").outputs
