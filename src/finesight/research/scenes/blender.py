"""Draws a described scene with Blender; imports only the standard library, numpy and bpy.

It takes plain data, so that it can run inside Blender's own Python:
`blender --background --python blender.py -- JOB.npz` renders the one job that a file describes.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

# A quarter of CLEVR's work a pixel: the denoiser makes two samples look clean.
SAMPLES = 2
BOUNCES = 2
JPEG_QUALITY = 88

_TONES = {"dark": (0.015, 0.015, 0.018), "light": (0.75, 0.74, 0.7), "steel": (0.45, 0.46, 0.48)}


def render(job: dict[str, Any], path: str, samples: int = SAMPLES) -> None:
    """Render a job to a JPEG file, with a number of samples a pixel.

    job: "size" in pixels; "camera": {"position", "axes" (3, 3) right/up/back, "angle" radians};
    "light": {"direction" (3,) towards the light, "strength", "angle" radians, "sky" linear rgb,
    "sky_strength"}; "ground": {"pattern", "colors" two linear rgb, "scale", "rotation" radians,
    "contrast"}; "objects": [{"vertices" (n, 3), "faces", "tones", "smooth", "color" linear rgb,
    "metal"}].
    Raises OSError where the file cannot be written.
    """
    import bpy

    with _quiet():
        scene = _prepare(bpy, job["size"])
        scene.cycles.samples = samples
        _light(bpy, job)
        try:
            for thing in job["objects"]:
                _add(bpy, scene, thing)
            scene.render.filepath = path
            bpy.ops.render.render(write_still=True)
        except RuntimeError as error:
            if "cannot save" not in str(error):
                raise
            raise OSError(str(error).strip().removeprefix("Error: ")) from error
        finally:
            # After a failure too, or these objects would stand in the next image; an object goes
            # with its mesh.
            for kind in (bpy.data.meshes, bpy.data.materials):
                for item in [item for item in kind if item.name.startswith("object")]:
                    kind.remove(item)


def _prepare(bpy: Any, size: int) -> Any:
    """Return Blender's scene with our settings; built once a process."""
    scene = bpy.context.scene
    if "finesight" not in scene:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        scene["finesight"] = True
        _settings(scene)
        _furnish(bpy, scene)
    scene.render.resolution_x = scene.render.resolution_y = size
    return scene


def _settings(scene: Any) -> None:
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_quality = "FAST"
    cycles.denoising_prefilter = "FAST"
    cycles.max_bounces = BOUNCES
    cycles.seed = 0
    scene.render.use_persistent_data = True
    # Nothing to compose or to cut into tiles: the same pixels, a few percent sooner.
    scene.render.use_compositing = False
    scene.render.use_sequencer = False
    cycles.use_auto_tile = False
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "JPEG"
    scene.render.image_settings.quality = JPEG_QUALITY
    scene.render.use_file_extension = False
    scene.view_settings.view_transform = "Standard"


def _furnish(bpy: Any, scene: Any) -> None:
    """Add what every scene has: ground, camera, key light, sky."""
    bpy.ops.mesh.primitive_plane_add(size=400)
    bpy.context.object.name = "ground"
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    key = bpy.data.objects.new("key", bpy.data.lights.new("key", "SUN"))
    for thing in (camera, key):
        scene.collection.objects.link(thing)
    scene.camera = camera
    camera.data.clip_start = 0.05
    camera.data.clip_end = 1000
    world = bpy.data.worlds.new("sky")
    scene.world = world
    world.use_nodes = True


def _light(bpy: Any, job: dict[str, Any]) -> None:
    """Place camera and lights, and lay the ground."""
    from mathutils import Matrix, Vector

    camera = bpy.data.objects["camera"]
    place = np.array([*job["camera"]["axes"], job["camera"]["position"]]).T
    camera.matrix_world = Matrix([*place.tolist(), [0.0, 0.0, 0.0, 1.0]])
    camera.data.angle = job["camera"]["angle"]
    key = bpy.data.objects["key"]
    key.rotation_euler = Vector(job["light"]["direction"]).to_track_quat("Z", "Y").to_euler()
    key.data.energy = job["light"]["strength"]
    key.data.angle = job["light"]["angle"]
    sky = bpy.data.worlds["sky"].node_tree.nodes["Background"].inputs
    sky["Color"].default_value = (*job["light"]["sky"], 1.0)
    sky["Strength"].default_value = job["light"]["sky_strength"]
    materials = bpy.data.objects["ground"].data.materials
    materials.clear()
    materials.append(_ground_material(bpy, job["ground"]))


def _ground_material(bpy: Any, ground: dict[str, Any]) -> Any:
    """Return one colour, or a pattern between two in world units."""
    material = _material(bpy, "object ground", ground["colors"][0], False)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    if ground["pattern"] == "plain":
        # Without the gloss that nobody sees on it, a scene takes a fifth less time.
        matte = nodes.new("ShaderNodeBsdfDiffuse")
        matte.inputs["Color"].default_value = (*ground["colors"][0], 1.0)
        links.new(matte.outputs["BSDF"], nodes["Material Output"].inputs["Surface"])
        return material
    place = nodes.new("ShaderNodeMapping")
    place.inputs["Scale"].default_value = (ground["scale"],) * 3
    place.inputs["Rotation"].default_value = (0.0, 0.0, ground["rotation"])
    pattern = nodes.new("ShaderNodeTex" + ground["pattern"].capitalize())
    ramp = nodes.new("ShaderNodeValToRGB")
    # Around the middle of the pattern's values, the narrower the sharper.
    half = 0.45 * (1 - ground["contrast"])
    low, high = ramp.color_ramp.elements
    low.position, high.position = 0.5 - half, 0.5 + half
    low.color, high.color = ((*color, 1.0) for color in ground["colors"])
    links.new(nodes.new("ShaderNodeTexCoord").outputs["Object"], place.inputs["Vector"])
    links.new(place.outputs["Vector"], pattern.inputs["Vector"])
    value = {"voronoi": "Distance"}.get(ground["pattern"], "Fac")
    links.new(pattern.outputs[value], ramp.inputs["Fac"])
    surface = nodes["Principled BSDF"]
    links.new(ramp.outputs["Color"], surface.inputs["Base Color"])
    return material


def _add(bpy: Any, scene: Any, thing: dict[str, Any]) -> None:
    """Add one object."""
    mesh = bpy.data.meshes.new("object")
    mesh.from_pydata(np.asarray(thing["vertices"]).tolist(), [], thing["faces"])
    tones = ["main", *_TONES]
    for tone, color in {"main": thing["color"], **_TONES}.items():
        metal = tone == "steel" or (tone == "main" and thing["metal"])
        mesh.materials.append(_material(bpy, f"object {tone}", color, metal))
    mesh.polygons.foreach_set("material_index", [tones.index(tone) for tone in thing["tones"]])
    mesh.polygons.foreach_set("use_smooth", thing["smooth"])
    mesh.update()
    scene.collection.objects.link(bpy.data.objects.new("object", mesh))


def _material(bpy: Any, name: str, color: tuple[float, float, float], metal: bool) -> Any:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    surface = material.node_tree.nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*color, 1.0)
    # Full metal mirrors a grey world and loses its colour at two bounces.
    surface.inputs["Metallic"].default_value = 0.6 if metal else 0.0
    surface.inputs["Roughness"].default_value = 0.28 if metal else 0.6
    return material


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what Blender's C code prints to stdout, which belongs to our results."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (runs inside Blender)
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


if __name__ == "__main__":
    # The job is in the JSON file that is named after `--`.
    with open(sys.argv[sys.argv.index("--") + 1], encoding="utf-8") as file:  # noqa: PTH123
        render(**json.load(file))
