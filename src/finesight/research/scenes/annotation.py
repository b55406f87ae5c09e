"""What is written about a scene: every object, where it is and how much of it is seen."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from finesight.research.scenes.camera import Camera, object_index
from finesight.research.scenes.placing import share_in_frame
from finesight.research.scenes.sampling import LARGE, SMALL, Object, Recipe, Scene

RELATIONS = ("left", "right", "front", "behind")

_APART = 0.2  # world units, as in CLEVR: closer than this along a direction says nothing


def annotate(scene: Scene, recipe: Recipe) -> dict[str, Any]:
    """Return the line of `scenes.jsonl` for a scene; objects that no pixel shows are left out.

    `relations`, as in CLEVR: relations["left"][i] lists the objects to the left of object i.
    """
    poses = [thing.pose for thing in scene.objects] + [shape.pose for shape in scene.clutter]
    index, alone = object_index([pose.mesh for pose in poses], scene.camera)
    objects, shown = [], []
    for number, thing in enumerate(scene.objects):
        rows, columns = np.nonzero(index == number)
        if len(rows) == 0:
            continue
        shown.append(thing)
        objects.append(_describe(thing, recipe, rows, columns, int(alone[number])))
        if scene.item is not None:
            objects[-1]["cut"] = round(1 - share_in_frame(thing.pose, scene.camera), 4)
    camera, light = scene.camera, scene.light
    record = {
        "file": f"images/{scene.index:06d}.jpg",
        "index": scene.index,
        **{name: getattr(recipe, name) for name in ("seed", "split", "mode", "look")},
        "width": recipe.size,
        "height": recipe.size,
        "camera": {
            **{n: round(getattr(camera, n), 4) for n in ("azimuth", "elevation", "distance")},
            "field_of_view": camera.field_of_view,
            "position": _rounded(camera.position),
        },
        "light": _rounded((light.azimuth, light.elevation, light.strength)),
        "ground": scene.ground.pattern,
        "clutter": len(scene.clutter),
        "objects": objects,
    }
    if scene.item is not None:
        record["item"] = vars(scene.item)
    if recipe.kind == "scenes":
        record["relations"] = relations(shown, camera)
    return record


def _describe(
    thing: Object, recipe: Recipe, rows: np.ndarray, columns: np.ndarray, alone: int
) -> dict[str, Any]:
    """Return what is written of an object seen in these pixels, of as many as it has alone."""
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    share = len(rows) / recipe.size**2
    asked = {"mix": True, "small": share < SMALL, "large": share > LARGE}[recipe.mode]
    entry = {
        "class": thing.name,
        "instance": thing.instance,
        "color": thing.color,
        "material": thing.material,
        "size": "small" if share < SMALL else "large" if share > LARGE else "medium",
        "role": "query" if asked else "distractor",
        "box_px": [*map(int, box)],
        "visible_px": len(rows),
        "hidden": round(1 - len(rows) / alone, 4),
        "position": _rounded(thing.pose.position),
        "scale": round(thing.pose.scale, 5),
        "rotation": round(thing.pose.rotation, 3),
    }
    return entry if thing.cell_px is None else {**entry, "cell_px": list(thing.cell_px)}


def relations(objects: Sequence[Object], camera: Camera) -> dict[str, list[list[int]]]:
    """Return which objects are to the left, right, front of and behind each object."""
    right = camera.axes[0][:2]
    behind = -camera.axes[2][:2] / np.linalg.norm(camera.axes[2][:2])
    directions = dict(zip(RELATIONS, (-right, right, -behind, behind), strict=True))
    places = np.array([thing.pose.position[:2] for thing in objects]).reshape(-1, 2)
    return {
        name: [np.flatnonzero((places - at) @ direction > _APART).tolist() for at in places]
        for name, direction in directions.items()
    }


def coco_instances(records: Iterable[dict[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    """Return records as a COCO instances file; boxes become x, y, width, height in pixels."""
    number = {name: i for i, name in enumerate(classes, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for record in records:
        name, size = record["file"].removeprefix("images/"), record["width"]
        images.append({"id": record["index"], "file_name": name, "width": size, "height": size})
        for thing in record["objects"]:
            x0, y0, x1, y1 = thing["box_px"]
            entry = {
                "id": len(annotations) + 1,
                "image_id": record["index"],
                "category_id": number[thing["class"]],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": thing["visible_px"],
                "iscrowd": 0,
            }
            kept = ("instance", "color", "material", "hidden")
            annotations.append({**entry, **{key: thing[key] for key in kept}})
    categories = [{"id": i, "name": name, "supercategory": "object"} for name, i in number.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]
