"""Renders a set of scenes to a folder, and goes on where it was stopped.

A set is `dataset.json` (its settings), `images/000012.jpg`, and `scenes.jsonl` (a line an image).
An image is written under another name and moved into place, then its line is added: what has
no line was not finished, and is drawn again.
"""

import importlib.util
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from finesight.errors import DataError, InputError, MissingDependencyError
from finesight.scenes import blender, sampling
from finesight.scenes.objects import CLASSES, COLORS
from finesight.scenes.visibility import object_index

FORMAT = "finesight-scenes"
VERSION = 1
_KINDS = {"scenes": sampling.sample_scene, "objects": sampling.sample_sheet}


def render_set(
    out: Path,
    *,
    images: int,
    seed: int = 0,
    split: str = "train",
    size: int = 640,
    kind: str = "scenes",
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Render images 0 .. images - 1 of a set into a folder; return how many were new.

    kind: "scenes", or "objects" for grids of single objects; size: the images' side in pixels;
    progress: called with the number of finished images. Raises InputError where the folder holds
    another set or cannot be written to, MissingDependencyError without Blender.
    """
    if images < 1 or size < 64:
        raise InputError(f"render at least 1 image of 64 pixels, got {images} of {size}")
    draw = find_blender()
    settings = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "seed": seed,
        "split": split,
        "size": size,
        "classes": sorted(CLASSES),
        "colors": list(COLORS),
    }
    _KINDS[kind](
        seed, split, 0, size
    )  # a wrong split or seed ends here, before anything is written
    try:
        lines = _begin(out, settings)
        missing = [i for i in range(images) if i not in lines]
        progress(images - len(missing))
        for done, index in enumerate(missing, images - len(missing) + 1):
            lines[index] = _render_one(out, settings, index, draw)
            progress(done)
        _write(out / "scenes.jsonl", "".join(lines[i] for i in sorted(lines)))
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror or error}") from error
    return len(missing)


def describe(scene: sampling.Scene) -> dict[str, Any]:
    """Return a scene as the plain data that `blender.render` draws."""
    azimuth, elevation = np.radians(scene.light[:2])
    towards = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth)]
    camera = scene.camera
    things = []
    for thing in scene.objects:
        mesh = thing.mesh()
        things.append(
            {
                "vertices": mesh.vertices.tolist(),
                "faces": mesh.faces,
                "tones": mesh.tones,
                "smooth": mesh.smooth,
                "color": [_linear(channel) for channel in COLORS[thing.color]],
                "metal": thing.material == "metal",
            }
        )
    return {
        "size": camera.size,
        "camera": {
            "position": camera.position.tolist(),
            "axes": camera.axes.tolist(),
            "angle": float(np.radians(camera.field_of_view)),
        },
        "light": {
            "direction": [*map(float, towards), float(np.sin(elevation))],
            "strength": scene.light[2],
        },
        "ground": scene.ground,
        "objects": things,
    }


def annotate(scene: sampling.Scene, split: str, seed: int) -> dict[str, Any]:
    """Return what `scenes.jsonl` says of a scene; objects that no pixel shows are left out."""
    seen = object_index([thing.mesh() for thing in scene.objects], scene.camera)
    objects = []
    for number, thing in enumerate(scene.objects):
        rows, columns = np.nonzero(seen == number)
        if len(rows) == 0:
            continue
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        entry: dict[str, Any] = {
            "class": thing.name,
            "instance": thing.instance,
            "color": thing.color,
            "material": thing.material,
            "box_px": [int(edge) for edge in box],
            "visible_px": len(rows),
            "position": [round(x, 5) for x in thing.position],
            "scale": round(thing.scale, 5),
            "rotation": round(thing.rotation, 3),
        }
        if thing.cell_px is not None:
            entry["cell_px"] = list(thing.cell_px)
        objects.append(entry)
    camera = scene.camera
    return {
        "file": f"images/{scene.index:06d}.jpg",
        "index": scene.index,
        "seed": seed,
        "split": split,
        "width": camera.size,
        "height": camera.size,
        "camera": {
            "azimuth": round(camera.azimuth, 4),
            "elevation": round(camera.elevation, 4),
            "distance": round(camera.distance, 4),
            "field_of_view": camera.field_of_view,
        },
        "light": [round(x, 4) for x in scene.light],
        "objects": objects,
    }


def find_blender() -> Callable[[dict[str, Any], str], None]:
    """Return a function (job, path) that draws: in this process, or by a `blender` on the PATH."""
    if importlib.util.find_spec("bpy") is not None:
        return blender.render
    program = shutil.which("blender")
    if program is None:
        raise MissingDependencyError(
            "rendering needs Blender: pip install 'finesight[render]' (Python 3.11), or put a "
            "`blender` on the PATH"
        )
    return lambda job, path: _render_outside(program, job, path)


def _render_outside(program: str, job: dict[str, Any], path: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump({"job": job, "path": path}, file)
    try:
        # Without an exit code of its own, Blender ends a script that failed with 0, and an
        # unfinished file of a killed run would pass for the image.
        command = [program, "--background", "--factory-startup", "--python-exit-code", "1"]
        result = subprocess.run(
            [*command, "--python", blender.__file__, "--", file.name],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        Path(file.name).unlink()
    if result.returncode != 0 or not Path(path).exists():
        raise DataError(f"{program} did not draw an image: {result.stderr.strip()[-300:]}")


def _render_one(
    out: Path, settings: dict[str, Any], index: int, draw: Callable[[dict[str, Any], str], None]
) -> str:
    scene = _KINDS[settings["kind"]](settings["seed"], settings["split"], index, settings["size"])
    record = annotate(scene, settings["split"], settings["seed"])
    path = out / record["file"]
    temporary = path.with_suffix(".part")
    draw(describe(scene), str(temporary.resolve()))
    temporary.replace(path)
    line = json.dumps(record, separators=(",", ":")) + "\n"
    with (out / "scenes.jsonl").open("a", encoding="utf-8") as file:
        file.write(line)
    return line


def _begin(out: Path, settings: dict[str, Any]) -> dict[int, str]:
    """Make or check the folder; return the lines of the finished images by their number."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    head = out / "dataset.json"
    if head.exists():
        try:
            found = json.loads(head.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{head} is damaged: remove the folder, or render to another"
            ) from error
        other = sorted(key for key in settings if found.get(key) != settings[key])
        if other:
            raise InputError(
                f"{out} holds a set with another {', '.join(other)}: render to another folder"
            )
    else:
        _write(head, json.dumps(settings, indent=2) + "\n")
    lines = {}
    journal = out / "scenes.jsonl"
    if journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the last line of a killed run: its image is drawn again
            if (out / record["file"]).exists():
                lines[int(record["index"])] = line + "\n"
        _write(journal, "".join(lines.values()))
    return lines


def _write(path: Path, text: str) -> None:
    """Replace a file's content at once, so that no reader ever sees half of it."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _linear(channel: float) -> float:
    """Return the linear light 0..1 of an sRGB value 0..255."""
    value = channel / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
