"""Reads CLEVR-DS: the scene sets that `finesight render` writes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from finesight.annotations.json_files import expecting, read_json, read_json_lines
from finesight.boxes import normalised
from finesight.errors import DataError, InputError
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet
from finesight.types import Box

T = TypeVar("T")

FORMAT = "finesight-scenes"
VERSION = 2

RENDER = "run the same `finesight render` again, which mends it"
"""What to do about a damaged line."""

_AS_STORED = ("color", "material", "instance", "hidden", "size", "role")  # of objects


@dataclass(frozen=True, kw_only=True)
class SceneObject(LabelledObject):
    """One rendered object; its box and its share are those of its visible pixels.

    hidden: the share of its own pixels that others hide; size: "small" (< 1 % of the image),
    "medium" or "large" (> 5 %); cell: on sheets of single objects, the part of the image that is
    this object's own.
    """

    color: str
    material: str
    instance: int
    hidden: float = 0.0
    size: str = "medium"
    cell: Box | None = None


@dataclass(frozen=True, kw_only=True)
class SceneImage(LabelledImage):
    """One scene with its number.

    relations: "left", "right", "front" and "behind" to, for each object, the numbers of the
    objects that are there.
    """

    index: int
    objects: tuple[SceneObject, ...]
    relations: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SceneSet(LabelledSet):
    """A rendered set: its settings, its class and colour names, and its images in order."""

    images: tuple[SceneImage, ...]
    settings: Mapping[str, Any]
    colors: tuple[str, ...]


def load(directory: Path) -> SceneSet:
    """Read a set; raises InputError where there is none, DataError where it is damaged."""
    head, lines = directory / "dataset.json", directory / "scenes.jsonl"
    if not head.is_file() or not lines.is_file():
        raise InputError(
            f"{directory} is not a scene set (no dataset.json and scenes.jsonl): "
            "make one with `finesight render`"
        )
    settings = read_json(head, "render the set again")
    with expecting(f"{head} is damaged", "render the set again"):
        kind, version = settings["format"], settings["version"]
        if kind != FORMAT or version != VERSION:
            raise DataError(
                f"{head} has format {kind!r} version {version}; this finesight reads {FORMAT!r} "
                f"version {VERSION}: "
                + ("render it again" if version < VERSION else "update finesight")
            )
        classes, colors = tuple(settings["classes"]), tuple(settings["colors"])
        never_named = tuple(settings["never_named"])
    images = read_json_lines(lines, partial(_image, directory), "is damaged", RENDER)
    if not images:
        raise DataError(f"{lines} holds no image: run `finesight render` again")
    return SceneSet(
        classes, never_named=never_named, images=tuple(images), settings=settings, colors=colors
    )


def _image(directory: Path, record: dict[str, Any]) -> SceneImage:
    width, height = record["width"], record["height"]
    objects = tuple(
        SceneObject(
            **{name: thing[name] for name in _AS_STORED},
            class_name=thing["class"],
            box=normalised(thing["box_px"], width, height),
            share=thing["visible_px"] / (width * height),
            cell=normalised(thing["cell_px"], width, height) if "cell_px" in thing else None,
        )
        for thing in record["objects"]
    )
    relations = {
        name: tuple(tuple(others) for others in lists)
        for name, lists in record.get("relations", {}).items()
    }
    path, index = directory / record["file"], record["index"]
    return SceneImage(path, width, height, objects=objects, index=index, relations=relations)


def read_lines(directory: Path, name: str, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """Return what `read` makes of each line of a file that `finesight render scenes` writes last.

    Raises InputError where there is none, DataError for a line that is damaged.
    """
    path = directory / name
    if not path.is_file():
        raise InputError(
            f"{directory} has no {name}: sets of scenes have one once `finesight render scenes` is "
            "done with them"
        )
    return read_json_lines(path, read, "is damaged or of other scenes", RENDER)
