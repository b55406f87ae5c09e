"""Writes trained networks as ONNX graphs, checks what they compute, and puts them into bundles."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from finesight.errors import FinesightError
from finesight.files import need_new
from finesight.graphs import Graph
from finesight.models.bundle import Bundle, need_manifest
from finesight.models.parts import Part

LEAST_COSINE = 0.9999  # between what PyTorch and ONNX Runtime compute
ANY = "any"  # the name of an axis whose length the exporter relates to others by itself


class _Computing(nn.Module):
    """A module whose call is a function of its own."""

    def __init__(self, module: nn.Module, compute: Callable[..., Any]) -> None:
        super().__init__()
        self.module = module
        self.compute = compute

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return what the function makes of the inputs."""
        return self.compute(*inputs)


def export_graph(
    module: nn.Module,
    inputs: dict[str, torch.Tensor],
    dynamic: dict[int, str] | Sequence[dict[int, str]],
    outputs: list[str],
    path: Path,
    compute: Callable[..., Any] | None = None,
) -> None:
    """Write a module as one ONNX file.

    dynamic: the axes that may vary, by name, the same of every input or one after the other;
    compute: what the graph computes with the module, where it is not the module's own call.
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
                _Computing(module, compute or module).eval(),
                tuple(inputs.values()),
                str(path),
                input_names=list(inputs),
                output_names=outputs,
                dynamic_shapes=(shapes,),  # of the one parameter that takes all inputs
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


def need_agreement(what: str, agrees: bool, measured: str) -> None:
    """Raise FinesightError where ONNX Runtime computes something else than PyTorch did."""
    if not agrees:
        raise FinesightError(
            f"the exported {what} disagrees with PyTorch ({measured}): do not use it, and report "
            "this with the versions of torch and onnxruntime"
        )


def run_both(
    compute: Callable[..., Any], inputs: Mapping[str, torch.Tensor], path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a function gives in PyTorch, and first a graph of it in ONNX Runtime."""
    with torch.inference_mode():
        ours = compute(*inputs.values()).numpy()
    return ours, Graph(path).run({name: value.numpy() for name, value in inputs.items()})[0]


def need_cosine(what: str, ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the lowest cosine of the vectors (n, d) of two runtimes; see need_agreement."""
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    lowest = float(((ours * theirs).sum(axis=1) / norms).min())
    need_agreement(what, lowest >= LEAST_COSINE, f"cosine {lowest:.5f}")
    return lowest


def put_part(
    bundle: Path,
    out: Path | None,
    provenance: Mapping[str, Any],
    export: Callable[[Path], tuple[Part, float]],
) -> float:
    """Add a part to a bundle, or to a copy of it in `out`; return how well the runtimes agree.

    export: writes the part's files below a folder, and returns the part and that agreement. The
    embeddings and so the fingerprint stay what they are. Raises InputError where `bundle` is none
    of ours or `out` is there already.
    """
    whole = Bundle.read(need_manifest(bundle, bundle))
    if out is not None:
        need_new(out)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "onnx").mkdir()
        part, agreement = export(Path(place))
        whole.with_part(part, Path(place), provenance).write(out or bundle)
    return agreement
