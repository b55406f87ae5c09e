"""What only Blender can tell: its own object index, and how it fails."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.errors import DataError, MissingDependencyError
from finesight.research.datasets.clevr_ds import load
from finesight.research.scenes.camera import object_index
from finesight.research.scenes.render import describe, render_set
from finesight.research.scenes.sampling import Recipe, sample_scene

DRAWN = Recipe(size=160)

# In a process of its own: the settings of Blender's one scene would stay for other tests.
ID_PASS = """
import json, sys
import bpy
from finesight.research.scenes import blender
job = json.load(open(sys.argv[1]))
with blender._quiet():
    scene = blender._prepare(bpy, job["size"])
    blender._light(bpy, job)
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
    scene.view_settings.view_transform, scene.render.dither_intensity = "Raw", 0
    scene.render.image_settings.file_format = "PNG"
    bpy.data.objects["ground"].hide_render = True
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0
    for number, thing in enumerate(job["objects"], 1):
        before = set(bpy.data.meshes)
        blender._add(bpy, scene, thing)
        (mesh,) = set(bpy.data.meshes) - before
        material = bpy.data.materials.new("object id")
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        nodes.clear()
        glow = nodes.new("ShaderNodeEmission")
        glow.inputs[0].default_value = (*[number * 10 / 255] * 3, 1)
        links.new(glow.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs[0])
        for slot in range(len(mesh.materials)):
            mesh.materials[slot] = material
    scene.render.filepath = sys.argv[2]
    bpy.ops.render.render(write_still=True)
"""

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import bpy
from finesight.errors import InputError
from finesight.research.scenes.render import render_set
from finesight.research.scenes.sampling import Recipe
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
try:
    render_set(Path(sys.argv[1]), Recipe(size=160), 1)
except InputError as error:
    print(error)
print(len([thing for thing in bpy.data.objects if thing.name.startswith("object")]))
"""


def run(code, *arguments):
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_the_object_index_is_the_one_that_blender_sees(tmp_path):
    pytest.importorskip("bpy", reason="rendering needs Blender")
    scene = next(
        found
        for found in (
            sample_scene(Recipe(seed=3, split="test", size=240, look="textured"), index)
            for index in range(50)
        )
        if len(found.objects) == 5
    )
    (tmp_path / "job.json").write_text(json.dumps(describe(scene)))
    run(ID_PASS, tmp_path / "job.json", tmp_path / "id.png")
    values = np.asarray(Image.open(tmp_path / "id.png").convert("L"), float)
    theirs = np.round(values / 10).astype(int) - 1
    things = [*scene.objects, *scene.clutter]
    ours, _ = object_index([thing.pose.mesh for thing in things], scene.camera)
    assert set(range(-1, 5)) <= set(np.unique(ours))
    assert (ours != theirs).mean() < 1e-4


def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(tmp_path):
    pytest.importorskip("bpy", reason="rendering needs Blender")
    pytest.importorskip("resource", reason="limiting a file's size needs POSIX")
    message, left = run(FULL_DISK, tmp_path)[:2]  # Blender adds a line of its own at exit
    assert message.startswith(f"cannot write to {tmp_path}: Render error (File too large)")
    assert left == "0"
    assert not list((tmp_path / "images").iterdir())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A set of one scene that Blender drew, the first with three objects or more."""
    pytest.importorskip("bpy", reason="rendering needs Blender")
    seeds = (s for s in range(50) if len(sample_scene(replace(DRAWN, seed=s), 0).objects) > 2)
    recipe = replace(DRAWN, seed=next(seeds))
    folder = tmp_path_factory.mktemp("drawn")
    render_set(folder, recipe, 1)
    return folder, recipe


def test_blender_draws_what_is_annotated(drawn):
    (image,) = load(drawn[0]).images
    pixels = np.asarray(Image.open(image.path).convert("RGB"), int)
    ground = np.median(pixels.reshape(-1, 3), axis=0)
    differs = np.abs(pixels - ground).sum(axis=2) > 60
    assert len(image.objects) > 2
    for thing in image.objects:
        x0, y0, x1, y1 = (round(edge * DRAWN.size) for edge in thing.box)
        assert differs[y0:y1, x0:x1].sum() > 0.3 * thing.share * DRAWN.size**2


def test_a_blender_on_the_path_draws_the_same(drawn, tmp_path, monkeypatch):
    folder, recipe = drawn
    # Blender's own program is not at hand: this one runs the script as it would, with its options.
    program = tmp_path / "blender"
    program.write_text(
        f"""#!{sys.executable}
import runpy, sys
place = sys.argv.index("--python") + 1
assert "--python-exit-code" in sys.argv[:place]
script = sys.argv[place]
sys.argv = [script, *sys.argv[place + 1 :]]
runpy.run_path(script, run_name="__main__")
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    render_set(tmp_path / "outside", recipe, 1)
    images = [Image.open(path / "images" / "000000.jpg") for path in (folder, tmp_path / "outside")]
    inside, outside = (np.asarray(image, int) for image in images)
    assert np.abs(inside - outside).max() <= 2
    program.write_text(f"#!{sys.executable}\nraise SystemExit('no graphics')")
    with pytest.raises(DataError, match="did not draw an image: no graphics"):
        render_set(tmp_path / "outside", recipe, 2)
    program.unlink()
    with pytest.raises(MissingDependencyError, match="pip install"):
        render_set(tmp_path / "nowhere", Recipe(size=96), 1)
    assert not (tmp_path / "nowhere").exists()
