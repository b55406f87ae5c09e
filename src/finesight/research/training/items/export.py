"""Puts a trained item head into a model bundle, with the towers that learned beside it, if any."""

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from finesight.files import need_new
from finesight.models.bundle import Bundle
from finesight.models.parts import ItemsEntry
from finesight.research.networks.items import ItemHeadNetwork, ItemNetwork
from finesight.research.networks.small_clip import ImageTower
from finesight.research.training.encoder.export import export_small_clip
from finesight.research.training.export import export_graph, need_cosine, run_both
from finesight.research.training.items.start import as_small_clip

_KEPT = ("regions", "prompt", "prompts", "fit", "dense", "knows")  # of the bundle that is tuned


def items_part(head: ItemHeadNetwork, folder: Path) -> tuple[ItemsEntry, float]:
    """Write an item head for any number of regions to a folder.

    Also returns the lowest cosine between the two runtimes' embeddings; raises FinesightError when
    it is too low.
    """
    part = ItemsEntry(head.width)
    head, path = copy.deepcopy(head).float().cpu().eval(), folder / part.file
    examples = nn.functional.normalize(torch.randn(17, head.first.in_features), dim=-1)
    export_graph(head, {"regions": examples[:3]}, {0: "n"}, ["items"], path)
    return part, need_cosine(f"item head {path}", *run_both(head, {"regions": examples}, path))


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
    need_new(out)
    old = Bundle.read(bundle)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clip = as_small_clip(bundle, tower, network, tokenizer)
        agreement = export_small_clip(clip, tokenizer, folder)
        new = Bundle.of_files(
            folder,
            name=out.name,
            width=network.settings.width,
            provenance={**provenance, "start": dict(old.provenance)},
            **{name: getattr(old, name) for name in _KEPT},
        )
        if old.finder is not None:
            new = new.with_part(old.finder, bundle, old.provenance[old.finder.origin])
        items, other = items_part(network.head, folder)
        new.with_part(items, folder, provenance).write(out)
    return min(agreement, other)
