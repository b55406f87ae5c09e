"""What a graph costs: its multiplications, counted and not timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_SUMS = ("Conv", "MatMul", "Gemm", "MatMulInteger", "ConvInteger")
"""The operators that nearly all of a tower's arithmetic is in."""


def multiplications(path: Path, shape: tuple[int, ...]) -> float:
    """Return how many numbers are multiplied when a graph runs on one input of a shape.

    Of convolutions and matrix products only. The graph runs once, to see the shapes within.
    """
    import onnx
    import onnxruntime

    model = onnx.load(path)
    nodes = [node for node in model.graph.node if node.op_type in _SUMS]
    weights = {each.name: tuple(each.dims) for each in model.graph.initializer}
    seen = {name for node in nodes for name in (node.output[0], node.input[0])}
    given = model.graph.input[0].name
    known = {each.name for each in model.graph.output} | set(weights) | {given}
    for name in sorted(seen - known):
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    values = session.run(names, {given: np.zeros(shape, np.float32)})
    shapes = {name: value.shape for name, value in zip(names, values, strict=True)} | weights
    shapes[given] = shape
    total = 0.0
    for node in nodes:
        if node.op_type.startswith("Conv"):
            each = np.prod(weights[node.input[1]][1:])
        elif node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute):
            each = shapes[node.input[0]][0]
        else:
            each = shapes[node.input[0]][-1]
        total += float(np.prod(shapes[node.output[0]])) * float(each)
    return total
