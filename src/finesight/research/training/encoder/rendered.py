"""Rendered scenes in memory, decoded and ready to be cut into crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from finesight.errors import DataError
from finesight.research.datasets import clevr_ds
from finesight.research.training.encoder.concepts import Concepts
from finesight.research.training.encoder.crops import Scene

WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Rendered:
    """Decoded scenes for training and for validation, and what can be said about them.

    sources: what each folder was rendered from, the validation folder last.
    """

    training: list[Scene]
    validation: list[Scene]
    concepts: Concepts
    sources: list[dict[str, Any]]


def load_rendered(training: Sequence[Path], validation: Path) -> Rendered:
    """Decode every image of the folders; one of 640 × 640 pixels takes 1.6 MB of memory.

    The training folders decide what can be said. Raises DataError when a validation object is
    something else, when there is no object at all, or for an image that cannot be read.
    """
    sets = [clevr_ds.load(folder) for folder in training]
    concepts = Concepts(
        tuple(dict.fromkeys(name for each in sets for name in each.classes)),
        tuple(dict.fromkeys(color for each in sets for color in each.colors)),
    )
    held_out = clevr_ds.load(validation)
    unknown = {*held_out.classes, *held_out.colors} - {*concepts.classes, *concepts.colors}
    if unknown:
        raise DataError(
            f"{validation} has classes or colours that no training set has "
            f"({', '.join(sorted(unknown))}): train and validate on sets of the same finesight"
        )
    scenes = [_decode(image, concepts) for each in sets for image in each.images]
    checks = [_decode(image, concepts) for image in held_out.images]
    for folders, found in ((training, scenes), ([validation], checks)):
        if not any(len(scene.boxes) for scene in found):
            raise DataError(f"no image of {', '.join(map(str, folders))} has an object in it")
    sources = [
        _source(folder, each)
        for folder, each in zip([*training, validation], [*sets, held_out], strict=True)
    ]
    return Rendered(scenes, checks, concepts, sources)


def _source(folder: Path, found: clevr_ds.SceneSet) -> dict[str, Any]:
    """What a set was rendered from: with this, `finesight render` makes it again."""
    kept = ("kind", "seed", "split", "size", "mode", "look", "areas", "shapes")
    settings = {key: found.settings[key] for key in kept}
    return {"name": folder.resolve().name, **settings, "images": len(found.images)}


def _decode(record: clevr_ds.SceneImage, concepts: Concepts) -> Scene:
    try:
        with Image.open(record.path) as file:
            image = file.convert("RGB")
    except OSError as error:
        raise DataError(
            f"{record.path} cannot be read ({error}): run the same `finesight render` again"
        ) from error
    scale = np.tile(np.array(image.size, float), 2)
    objects = record.objects
    for thing in objects:
        if thing.class_name not in concepts.classes or thing.color not in concepts.colors:
            raise DataError(
                f"{record.path} shows a {thing.color} {thing.class_name}, which dataset.json does "
                "not list: render the set again"
            )
    kinds = [
        concepts.of(concepts.classes.index(thing.class_name), concepts.colors.index(thing.color))
        for thing in objects
    ]
    return Scene(
        image,
        np.array([thing.box for thing in objects], float).reshape(-1, 4) * scale,
        kinds,
        np.array([thing.cell or WHOLE for thing in objects], float).reshape(-1, 4) * scale,
        sheet=any(thing.cell is not None for thing in objects),
    )
