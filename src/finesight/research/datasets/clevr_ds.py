"""Reads CLEVR-DS: the scene sets that `finesight render` writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finesight.errors import DataError, InputError
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet
from finesight.types import Box

FORMAT = "finesight-scenes"
VERSION = 2


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
    try:
        settings = json.loads(head.read_text(encoding="utf-8"))
        kind, version = settings["format"], settings["version"]
        if kind != FORMAT or version != VERSION:
            raise DataError(
                f"{head} has format {kind!r} version {version}; this finesight reads {FORMAT!r} "
                f"version {VERSION}: "
                + ("render it again" if version < VERSION else "update finesight")
            )
        classes, colors = tuple(settings["classes"]), tuple(settings["colors"])
        never_named = tuple(settings["never_named"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{head} is damaged ({error!r}): render the set again") from error
    images = []
    for number, line in enumerate(lines.read_text(encoding="utf-8").splitlines(), 1):
        try:
            images.append(_image(directory, json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{lines}, line {number} is damaged ({error!r}): run the same `finesight render` "
                "again, which mends it"
            ) from error
    if not images:
        raise DataError(f"{lines} holds no image: run `finesight render` again")
    return SceneSet(
        settings=settings,
        classes=classes,
        colors=colors,
        never_named=never_named,
        images=tuple(images),
    )


def _image(directory: Path, record: dict[str, Any]) -> SceneImage:
    width, height = record["width"], record["height"]

    def normalised(box: list[int]) -> Box:
        x0, y0, x1, y1 = box
        return x0 / width, y0 / height, x1 / width, y1 / height

    objects = tuple(
        SceneObject(
            class_name=thing["class"],
            color=thing["color"],
            material=thing["material"],
            instance=thing["instance"],
            box=normalised(thing["box_px"]),
            share=thing["visible_px"] / (width * height),
            hidden=thing["hidden"],
            size=thing["size"],
            role=thing["role"],
            cell=normalised(thing["cell_px"]) if "cell_px" in thing else None,
        )
        for thing in record["objects"]
    )
    relations = {
        name: tuple(tuple(others) for others in lists)
        for name, lists in record.get("relations", {}).items()
    }
    return SceneImage(
        path=directory / record["file"],
        index=record["index"],
        width=width,
        height=height,
        objects=objects,
        relations=relations,
    )
