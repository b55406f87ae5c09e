"""Reads rendered scenes into memory, ready to be cut into crops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from finesight.errors import DataError
from finesight.training.concepts import Concepts
from finesight.training.crops import Scene


@dataclass(frozen=True)
class Rendered:
    """Decoded scenes for training and for validation, and what can be said about them."""

    training: list[Scene]
    validation: list[Scene]
    concepts: Concepts


def load_rendered(training: Sequence[Path], validation: Path) -> Rendered:
    """Decode every image of the folders; about 1.6 MB of memory for each of 640 × 640 pixels."""
    heads = [json.loads((f / "dataset.json").read_text()) for f in training]
    concepts = Concepts(
        tuple(dict.fromkeys(c for h in heads for c in h["classes"])),
        tuple(dict.fromkeys(c for h in heads for c in h["colors"])),
    )
    scenes = [s for folder in training for s in _read(folder, concepts)]
    return Rendered(scenes, _read(validation, concepts), concepts)


def _read(folder: Path, concepts: Concepts) -> list[Scene]:
    out = []
    for line in (folder / "scenes.jsonl").read_text().splitlines():
        r = json.loads(line)
        if not r["objects"]:
            continue
        image = Image.open(folder / r["file"]).convert("RGB")
        boxes = np.array([o["box_px"] for o in r["objects"]], float)
        kinds = [
            concepts.of(concepts.classes.index(o["class"]), concepts.colors.index(o["color"]))
            for o in r["objects"]
        ]
        limits = np.array([o.get("cell_px", [0, 0, *image.size]) for o in r["objects"]], float)
        out.append(Scene(image, boxes, kinds, limits, "cell_px" in r["objects"][0]))
    return out
