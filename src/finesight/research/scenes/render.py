"""Renders a set of scenes to a folder, and goes on where it was stopped.

A set is `dataset.json` (its settings), `images/000012.jpg`, `scenes.jsonl` (a line per image), and,
once it is complete, the same as `instances.json` in COCO's format, and words for the scenes.
An image is written under another name and moved into place, then its line is added: what has
no line was not finished, and is drawn again.
"""

import importlib.util
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from finesight.errors import DataError, InputError, MissingDependencyError
from finesight.files import atomic, write_atomic, write_json
from finesight.research.datasets import clevr_ds
from finesight.research.scenes import blender
from finesight.research.scenes.annotation import annotate, coco_instances
from finesight.research.scenes.camera import direction
from finesight.research.scenes.identities import deepfashion2, sample_identity
from finesight.research.scenes.objects import COLORS, NEVER_NAMED
from finesight.research.scenes.sampling import Recipe, Scene, sample_scene, sample_sheet
from finesight.research.scenes.words import compact, write_words

_KINDS = {"scenes": sample_scene, "objects": sample_sheet, "identities": sample_identity}
_AHEAD = 4  # scenes that are thought out while one is drawn
_SETTINGS = ("kind", "seed", "split", "size", "mode", "look")
_Job = tuple[dict[str, Any], dict[str, Any]]


def render_set(
    out: Path, recipe: Recipe, images: int, progress: Callable[[int], None] = lambda done: None
) -> int:
    """Render images 0 .. images - 1 of a recipe into a folder; return how many were new.

    progress: called with the number of finished images. Raises InputError where the folder holds
    another set, is rendered into by another run or cannot be written to, MissingDependencyError
    without Blender.
    """
    if images < 1:
        raise InputError(f"render at least 1 image, got {images}")
    draw = find_blender()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(out / ".lock", timeout=0):
            lines = _begin(out, _settings(recipe))
            missing = [i for i in range(images) if i not in lines]
            progress(images - len(missing))
            for done, (record, job) in enumerate(_jobs(recipe, missing), images - len(missing) + 1):
                with atomic(out / record["file"]) as unfinished:
                    draw(job, str(unfinished.resolve()))
                lines[record["index"]] = line = compact(record)
                with (out / "scenes.jsonl").open("a", encoding="utf-8") as file:
                    file.write(line)
                progress(done)
            _finish(out, recipe, lines)
    except filelock.Timeout as error:
        raise InputError(f"another run is rendering into {out}: wait until it has ended") from error
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror or error}") from error
    return len(missing)


def prepare(recipe: Recipe, index: int) -> _Job:
    """Return what is written about image `index`, and what Blender is to draw."""
    scene = _KINDS[recipe.kind](recipe, index)
    return annotate(scene, recipe), describe(scene)


def _jobs(recipe: Recipe, indices: Sequence[int]) -> Iterator[_Job]:
    """Prepare images in order, in a second process while the first one draws."""
    if len(indices) <= _AHEAD:
        yield from (prepare(recipe, index) for index in indices)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_follow_parent) as pool:
        waiting = (pool.submit(prepare, recipe, index) for index in indices)
        ahead = deque(itertools.islice(waiting, _AHEAD))
        try:
            while ahead:
                ahead.extend(itertools.islice(waiting, 1))
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Leave interrupts to the drawing process, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _settings(recipe: Recipe) -> dict[str, Any]:
    """What `dataset.json` says."""
    return {
        "format": clevr_ds.FORMAT,
        "version": clevr_ds.VERSION,
        **{name: getattr(recipe, name) for name in _SETTINGS},
        "areas": list(recipe.areas),
        "shapes": recipe.shapes.name,
        "classes": list(recipe.shapes.classes),
        "never_named": [name for name in NEVER_NAMED if name in recipe.shapes.classes],
        "colors": list(COLORS),
    }


def describe(scene: Scene) -> dict[str, Any]:
    """Return a scene as the plain data that `blender.render` draws."""
    camera, light, ground = scene.camera, scene.light, scene.ground
    things = [
        (thing.pose.mesh, [*map(_linear, COLORS[thing.color])], thing.material == "metal")
        for thing in scene.objects
    ]
    things += [(shape.pose.mesh, [*shape.color], shape.metal) for shape in scene.clutter]
    return {
        "size": camera.size,
        "camera": {
            "position": camera.position.tolist(),
            "axes": camera.axes.tolist(),
            "angle": float(np.radians(camera.field_of_view)),
        },
        "light": {
            "direction": direction(light.azimuth, light.elevation).tolist(),
            "strength": light.strength,
            "angle": float(np.radians(light.softness)),
            "sky": light.sky,
            "sky_strength": light.sky_strength,
        },
        "ground": {**vars(ground), "rotation": float(np.radians(ground.rotation))},
        "objects": [
            {
                "vertices": mesh.vertices.tolist(),
                **{name: getattr(mesh, name) for name in ("faces", "tones", "smooth")},
                "color": color,
                "metal": metal,
            }
            for mesh, color, metal in things
        ],
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
    # Without an exit code of its own, Blender ends a script that failed with 0, and an unfinished
    # file of a killed run would pass for the image.
    command = [program, "--background", "--factory-startup", "--python-exit-code", "1"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps({"job": job, "path": path}), encoding="utf-8")
        command += ["--python", blender.__file__, "--", str(file)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0 or not Path(path).exists():
        raise DataError(f"{program} did not draw an image: {result.stderr.strip()[-300:]}")


def _finish(out: Path, recipe: Recipe, lines: dict[int, str]) -> None:
    """Put the lines in order, and write what is derived from them all."""
    write_atomic(out / "scenes.jsonl", "".join(lines[i] for i in sorted(lines)))
    records = [json.loads(lines[i]) for i in sorted(lines)]
    write_atomic(out / "instances.json", compact(coco_instances(records, recipe.shapes.classes)))
    if recipe.kind == "scenes":
        write_words(out, clevr_ds.load(out))
    if recipe.kind == "identities":
        (out / "annos").mkdir(exist_ok=True)
        for record in records:
            found = deepfashion2(record, recipe.shapes.classes)
            write_atomic(out / "annos" / f"{record['index']:06d}.json", json.dumps(found) + "\n")


def _begin(out: Path, settings: dict[str, Any]) -> dict[int, str]:
    """Make or check the folder; return the lines of the finished images by their number."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    head, journal = out / "dataset.json", out / "scenes.jsonl"
    if not head.exists():
        write_json(head, settings)
    try:
        found = json.loads(head.read_text(encoding="utf-8"))
    except ValueError as error:
        damaged = f"{head} is damaged: remove the folder, or render to another"
        raise InputError(damaged) from error
    other = sorted(key for key in settings if found.get(key) != settings[key])
    if other:
        raise InputError(
            f"{out} holds a set with another {', '.join(other)}: render to another folder"
        )
    lines = {}
    if journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # the last line of a killed run: its image is drawn again
                record = json.loads(line)
                if (out / record["file"]).exists():
                    lines[int(record["index"])] = line + "\n"
        write_atomic(journal, "".join(lines.values()))
    return lines


def _linear(channel: float) -> float:
    """Return the linear light 0..1 of an sRGB value 0..255."""
    value = channel / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
