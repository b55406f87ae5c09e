"""ShapeNetCore's models in the place of our own shapes, for those who have them.

The folder is ShapeNetCore's: `taxonomy.json`, and `SYNSET/MODEL/models/model_normalized.obj`.
Only the geometry is read: colours and materials are the scene's, as in CLEVR-DS.
"""

import json
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from finesight.errors import DataError, InputError
from finesight.research.scenes.meshes import Mesh, standing
from finesight.research.scenes.objects import CLASSES, Shapes

PER_CLASS = 10
"""Models per class, as in the paper; 6 for training, 2 each for validation and test."""
_SPLITS = {"train": range(0, 6), "val": range(6, 8), "test": range(8, 10)}

_SYNONYMS = {
    "headphones": "earphone",
    "keyboard": "computer keyboard",
    "microwave": "microwave oven",
    "monitor": "display",
    "motorcycle": "motorbike",
    "flowerpot": "pot",
    "sailboat": "watercraft",
    "trash can": "ashcan",
    "washing machine": "washer",
}
"""Our class names that ShapeNetCore's taxonomy has under another name."""


def read_shapenet(directory: Path) -> Shapes:
    """Return the first ten models, by id, of every class of ours that ShapeNetCore's copy holds.

    An instance id is a place in the sorted list of a class's models. Raises InputError where the
    folder is not ShapeNetCore's, or has no class of ours whole.
    """
    models: dict[str, list[Path]] = {}
    synsets = _synsets(directory)
    for name in sorted(CLASSES):
        synset = synsets.get(name) or synsets.get(_SYNONYMS.get(name, ""))
        there = (directory / synset).glob("*/models/model_normalized.obj") if synset else ()
        found = sorted(there)[:PER_CLASS]
        if len(found) == PER_CLASS:
            models[name] = found
    if not models:
        raise InputError(
            f"{directory} holds no class with {PER_CLASS} models "
            "(SYNSET/MODEL/models/model_normalized.obj): unpack ShapeNetCore there"
        )
    return Shapes("shapenet", tuple(models), _SPLITS, partial(_build, models))


def _build(models: dict[str, list[Path]], name: str, instance: int) -> Mesh:
    return read_obj(models[name][instance])


def _synsets(directory: Path) -> dict[str, str]:
    """Return the taxonomy's synset ids by every name that they go by."""
    path = directory / "taxonomy.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {
            name.strip(): str(entry["synsetId"])
            for entry in reversed(entries)  # the first entry of a name counts
            for name in entry["name"].split(",")
        }
    except OSError as error:
        raise InputError(f"{path} cannot be read: name the folder of ShapeNetCore") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error!r}): unpack ShapeNetCore again") from error


@lru_cache(maxsize=512)
def read_obj(path: Path) -> Mesh:
    """Read the geometry of a Wavefront OBJ file, turned from y up to z up.

    It stands on the ground, its longest side 1. Raises DataError where the file holds no face, or
    a face without its vertices.
    """
    vertices: list[list[float]] = []
    faces: list[tuple[int, ...]] = []
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                key, *values = line.split() or [""]
                if key == "v":
                    vertices.append([float(value) for value in values[:3]])
                elif key == "f":
                    # v, v/vt or v/vt/vn; counted from 1, or from the last vertex if negative.
                    corners = [int(value.split("/")[0]) for value in values]
                    face = [i - 1 if i > 0 else len(vertices) + i for i in corners]
                    if len(set(face)) == len(face) > 2:
                        faces.append(tuple(face))
        points = np.array(vertices, float).reshape(-1, 3)[:, [0, 2, 1]] * [1, -1, 1]
        used = np.unique([i for face in faces for i in face])
        if not faces or used.min() < 0 or used.max() >= len(points):
            raise ValueError("no face, or a face without its vertices")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be used ({error}): unpack ShapeNetCore again") from error
    number = np.zeros(len(points), int)
    number[used] = np.arange(len(used))
    faces = [tuple(int(number[i]) for i in face) for face in faces]
    return standing(Mesh(points[used], faces, ["main"] * len(faces), [False] * len(faces)))
