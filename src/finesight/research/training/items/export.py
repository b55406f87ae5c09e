"""Puts a trained item head into a model bundle, with the towers that learned beside it, if any."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from finesight.errors import FinesightError, InputError
from finesight.matching.item_head import ITEM_HEAD, ItemHead
from finesight.models.bundle import add_items, add_objectness, read_manifest, write_manifest
from finesight.proposals.finder import OBJECTNESS
from finesight.research.networks.items import ItemHeadNetwork, ItemNetwork
from finesight.research.networks.small_clip import ImageTower
from finesight.research.training.export import export_graph, export_small_clip
from finesight.research.training.fusion.export import bundle_to_change
from finesight.research.training.items.start import as_small_clip

LEAST_COSINE = 0.9999  # between what PyTorch and ONNX Runtime compute


def export_item_head(head: ItemHeadNetwork, path: Path) -> float:
    """Write an item head as one ONNX file for any number of regions.

    Returns the lowest cosine between the two runtimes' embeddings; raises FinesightError when it is
    too low.
    """
    head = copy.deepcopy(head).float().cpu().eval()
    width = head.first.in_features
    path.parent.mkdir(parents=True, exist_ok=True)
    example = torch.nn.functional.normalize(torch.randn(3, width), dim=-1)
    export_graph(head, {"regions": example}, {0: "n"}, ["items"], path)
    regions = np.random.default_rng(0).normal(size=(17, width)).astype(np.float32)
    regions /= np.linalg.norm(regions, axis=1, keepdims=True)
    with torch.inference_mode():
        ours = head(torch.from_numpy(regions)).numpy()
    lowest = float((ours * ItemHead(path)(regions)).sum(axis=1).min())
    if lowest < LEAST_COSINE:
        raise FinesightError(
            f"the exported item head {path} disagrees with PyTorch (cosine {lowest:.5f}): do not "
            "use it, and report this with the versions of torch and onnxruntime"
        )
    return lowest


def put_items_into_bundle(
    network: ItemNetwork, bundle: Path, provenance: Mapping[str, Any], out: Path
) -> float:
    """Write a copy of a bundle with an item head over its own embeddings.

    The embeddings and so the fingerprint stay what they are: a collection of the bundle can be
    searched for items as it is. Returns the agreement of the two runtimes. Raises InputError where
    `bundle` is none of ours or `out` is there already.
    """
    changed = bundle_to_change(bundle, out)
    agreement = export_item_head(network.head, changed / ITEM_HEAD)
    add_items(changed, network.head.width, provenance)
    return agreement


def write_tuned_bundle(
    tower: ImageTower,
    network: ItemNetwork,
    tokenizer: Tokenizer,
    bundle: Path,
    provenance: Mapping[str, Any],
    out: Path,
) -> float:
    """Write a bundle whose towers were trained for items, with its item head.

    Its embeddings are new: collections are indexed anew with it. It finds objects as `bundle` does
    and has neither its fusion nor its matchers, which were trained on other embeddings. Returns the
    agreement of the two runtimes; raises InputError where `out` is there already.
    """
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder")
    old = read_manifest(bundle)
    agreement = export_small_clip(as_small_clip(bundle, tower, network, tokenizer), tokenizer, out)
    write_manifest(
        out,
        name=out.name,
        width=network.settings.width,
        proposer={"kind": "effort", "regions": old.regions},
        prompt=old.prompt,
        prompts=old.prompts,
        fit=old.fit,
        provenance={**provenance, "start": dict(old.provenance)},
        scores={},
        dense=old.dense,
        knows=old.knows,
    )
    if old.objectness is not None:
        shutil.copy(bundle / OBJECTNESS, out / OBJECTNESS)
        add_objectness(out, old.objectness.cost, old.provenance["objectness"])
    agreement = min(agreement, export_item_head(network.head, out / ITEM_HEAD))
    add_items(out, network.head.width, provenance)
    return agreement
