"""Writes a trained small model as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.encoders.dense import DenseEntry
from finesight.models.bundle import DEFAULT_REGIONS, write_manifest
from finesight.research.training.encoder.concepts import Concepts
from finesight.research.training.encoder.training import TrainedEncoder
from finesight.research.training.export import export_small_clip


def write_encoder_bundle(
    trained: TrainedEncoder, concepts: Concepts, provenance: Mapping[str, Any], out: Path
) -> dict[str, float]:
    """Write network, tokenizer and manifest to `out`; return the scores that stand in it.

    concepts: what it knows to name.
    """
    agreement = export_small_clip(trained.network, trained.tokenizer, out)
    scores = {name: round(value, 4) for name, value in trained.scores.items()}
    scores["onnx_cosine"] = round(agreement, 6)
    settings = trained.network.settings
    write_manifest(
        out,
        name=out.name,
        width=settings.width,
        proposer={"kind": "effort", "regions": DEFAULT_REGIONS},
        prompt="a photo of a {}",
        provenance=dict(provenance),
        scores=scores,
        dense=DenseEntry(settings.stride),
        knows={"things": concepts.classes, "colors": concepts.colors},
    )
    return scores
