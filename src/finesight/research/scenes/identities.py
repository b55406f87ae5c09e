"""Items as a shop shows them and as people photograph them, after DeepFashion2.

A pair is a shape, a style its colour and material. Every style has one `shop` image, clean and
centred, and some `user` images: in a scene, from another side, smaller, half hidden or half cut.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator

from finesight.research.scenes import looks, placing
from finesight.research.scenes.camera import Camera
from finesight.research.scenes.objects import COLORS
from finesight.research.scenes.placing import Pose, Stage
from finesight.research.scenes.sampling import Item, Object, Recipe, Scene, background, draw, strew

STYLES = 2
USERS = 3
"""Styles per pair and user images per style; with the shop image, 8 images per pair."""

_SCALES = ((0.006, 0.02), (0.02, 0.1), (0.1, 0.4))  # share of the image: small, modest, large
_CUT = ((0.0, 0.0), (0.1, 0.28), (0.32, 0.55))  # of the item's box outside, by zoom-in level
_ZOOM = (0.08, 0.3)  # share outside from which the zoom-in is medium, and large
_OCCLUSION = (0.2, 0.5)  # share hidden from which occlusion is medium, and heavy
_TRIES = 40


def sample_identity(recipe: Recipe, index: int) -> Scene:
    """Draw image `index`: the images of a pair follow each other, each style's shop image first."""
    images = 1 + USERS
    pair, place = divmod(index, STYLES * images)
    style, number = divmod(place, images)
    thing = _item(recipe, pair, style)
    rng = recipe.generator(index)
    item = Item("shop" if number == 0 else "user", pair + 1, style + 1)
    make = _user if number else _shop
    return replace(make(rng, recipe, index, thing), item=item)


def deepfashion2(record: dict[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """Return the annotation of an image as DeepFashion2 writes it, levels from what is seen.

    The item of the pair comes first; other objects of the scene have style 0.
    """
    item = record["item"]
    found: dict[str, Any] = {"source": item["source"], "pair_id": item["pair_id"]}
    for number, thing in enumerate(record["objects"], 1):
        share = thing["visible_px"] / (record["width"] * record["height"])
        turned = abs((thing["rotation"] - record["camera"]["azimuth"] + 180) % 360 - 180)
        found[f"item{number}"] = {
            "style": item["style"] if number == 1 else 0,
            "category_id": classes.index(thing["class"]) + 1,
            "category_name": thing["class"],
            "bounding_box": thing["box_px"],
            "scale": 1 + sum(share >= low for low, _ in _SCALES[1:]),
            "occlusion": 1 + sum(thing["hidden"] >= level for level in _OCCLUSION),
            "zoom_in": 1 + sum(thing["cut"] >= level for level in _ZOOM),
            "viewpoint": 2 if turned < 45 else 3,  # 2 frontal, 3 side or back; 1 is "no wear"
        }
    return found


def _item(recipe: Recipe, pair: int, style: int) -> Object:
    """Draw what a pair and a style are, the same for all of their images."""
    rng = recipe.generator(pair, "pair")
    name = str(rng.choice(recipe.shapes.classes))
    thing = draw(rng, recipe, Camera(0, 0, 1, 40, recipe.size), name)
    painted = [(color, material) for color in COLORS for material in ("matte", "metal")]
    color, material = painted[int(rng.permutation(len(painted))[style])]
    return replace(thing, color=color, material=material)


def _shop(rng: Generator, recipe: Recipe, index: int, thing: Object) -> Scene:
    plain = replace(recipe, look="plain")
    ground = looks.Ground("plain", ((0.8, 0.8, 0.8),) * 2)
    middle = (recipe.size / 2, recipe.size / 2)
    while True:
        scene = background(rng, plain, index, field_of_view=30, elevation=(15, 35))
        turned = scene.camera.azimuth + float(rng.uniform(-40, 40))
        pose = Pose(thing.pose.shape, rotation=turned)
        fitted = placing.fit_side(pose, scene.camera, middle, 0.72 * recipe.size)
        if fitted is not None:
            return replace(scene, ground=ground, objects=(replace(thing, pose=fitted),))


def _user(rng: Generator, recipe: Recipe, index: int, thing: Object) -> Scene:
    scale, occlusion, zoom = (int(level) for level in rng.integers(0, 3, 3))
    low, high = _SCALES[scale]
    others = int(rng.integers(0, 4))
    while True:
        scene = background(rng, recipe, index, field_of_view=40)
        camera = scene.camera
        area = looks.log_uniform(rng, low, high)
        pose = Pose(thing.pose.shape, rotation=float(rng.uniform(0, 360)))
        fitted = placing.fit_area(pose, camera, rng.uniform(0, 1, 2), area)
        if fitted is not None and zoom:
            fitted = _cut(rng, fitted, camera, _CUT[zoom])
        if fitted is None:
            continue
        stage = Stage(camera)
        clutter = []
        if not occlusion:
            stage.take(fitted)
        else:
            cover = _occluder(rng, fitted, camera, occlusion)
            if cover is None:
                continue
            stage.put(fitted, cover)
            clutter.append(looks.Clutter(cover, looks.unnamed_color(rng), bool(rng.random() < 0.3)))
        objects = [replace(thing, pose=fitted)]
        names = [n for n in recipe.shapes.classes if n != thing.name]
        for name in rng.choice(names, others, replace=False):
            other = draw(rng, recipe, camera, str(name))
            share = looks.log_uniform(rng, 0.003, 0.1)
            place = placing.fit_area(other.pose, camera, rng.uniform(0, 1, 2), share)
            if place is not None and stage.take(place):
                objects.append(replace(other, pose=place))
        clutter += strew(rng, looks.LOOKS[recipe.look], stage)
        return replace(scene, objects=tuple(objects), clutter=tuple(clutter))


def _cut(rng: Generator, pose: Pose, camera: Camera, share: tuple[float, float]) -> Pose | None:
    """Move a pose towards an edge until about a share of its box is outside."""
    side = int(rng.integers(4))
    wanted = 1 - float(rng.uniform(*share))
    for _ in range(_TRIES):
        inside = placing.share_in_frame(pose, camera)
        if inside <= wanted:
            return pose if inside >= 1 - share[1] - 0.05 else None
        points, _ = camera.project(pose.vertices)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        step = 0.04 * camera.size * np.array([(-1, 0), (1, 0), (0, 1), (0, -1)][side])
        ground, here = camera.ground(*(middle + step)), camera.ground(*middle)
        if ground is None or here is None:
            return None
        pose = pose.at(np.array(pose.position) + ground - here)
        if camera.project(pose.vertices)[1].min() < placing.NEAREST:
            return None
    return None


def _occluder(rng: Generator, pose: Pose, camera: Camera, level: int) -> Pose | None:
    """Find an unnamed shape before a pose that hides as much of it as the level says."""
    low, high = (*_OCCLUSION, 0.7)[level - 1 : level + 1]
    eye = camera.position * [1, 1, 0]
    for _ in range(_TRIES):
        near = float(rng.uniform(0.1, 0.5))
        place = np.array(pose.position) * (1 - near) + eye * near
        place += rng.normal(0, 0.3 * pose.scale, 3) * [1, 1, 0]
        shape, scale = looks.unnamed_shape(rng), float(pose.scale * rng.uniform(0.4, 1.2))
        cover = Pose(shape, scale=scale, rotation=float(rng.uniform(0, 360))).at(place)
        nearest = camera.project(cover.vertices)[1].min()
        if nearest < placing.NEAREST or placing.touching(pose, cover):
            continue
        stage = Stage(camera)
        stage.put(pose, cover)
        if low <= 1 - stage.seen()[0] <= high:
            return cover
    return None
