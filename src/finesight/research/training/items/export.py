"""Puts a trained item head into a model bundle, with the towers that learned beside it, if any."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from finesight.errors import InputError
from finesight.matching import ItemHead
from finesight.models.bundle import Bundle
from finesight.models.parts import ItemsEntry
from finesight.research.networks.items import ItemHeadNetwork, ItemNetwork
from finesight.research.networks.small_clip import ImageTower
from finesight.research.training.encoder.export import export_small_clip
from finesight.research.training.export import export_graph, need_cosine, put_part
from finesight.research.training.items.start import as_small_clip


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
    return need_cosine(f"item head {path}", ours, ItemHead(path)(regions))


def put_items_into_bundle(
    network: ItemNetwork, bundle: Path, provenance: Mapping[str, Any], out: Path
) -> float:
    """Write a copy of a bundle with an item head over its own embeddings.

    The embeddings and so the fingerprint stay what they are: a collection of the bundle can be
    searched for items as it is. Returns the agreement of the two runtimes. Raises InputError: see
    put_part.
    """

    def export(folder: Path) -> tuple[ItemsEntry, float]:
        part = ItemsEntry(network.head.width)
        return part, export_item_head(network.head, folder / part.file)

    return put_part(bundle, out, provenance, export)


def write_tuned_bundle(
    tower: ImageTower,
    network: ItemNetwork,
    tokenizer: Tokenizer,
    bundle: Path,
    provenance: Mapping[str, Any],
    out: Path,
) -> float:
    """Write a bundle whose towers were trained for items, with its item head.

    Its embeddings are new: collections have to be indexed again with it. It has the finder of
    `bundle` and neither its fusion nor its matchers, which were trained on other embeddings.
    Returns the agreement of the two runtimes; raises InputError where `out` is there already.
    """
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder")
    old = Bundle.read(bundle)
    with tempfile.TemporaryDirectory() as place:
        folder, items = Path(place), ItemsEntry(network.head.width)
        clip = as_small_clip(bundle, tower, network, tokenizer)
        agreement = export_small_clip(clip, tokenizer, folder)
        new = Bundle.of_files(
            folder,
            name=out.name,
            width=network.settings.width,
            regions=old.regions,
            prompt=old.prompt,
            prompts=old.prompts,
            fit=old.fit,
            provenance={**provenance, "start": dict(old.provenance)},
            dense=old.dense,
            knows=old.knows,
        )
        if old.finder is not None:
            new = new.with_part(old.finder, bundle, old.provenance[old.finder.origin])
        agreement = min(agreement, export_item_head(network.head, folder / items.file))
        new.with_part(items, folder, provenance).write(out)
    return agreement
