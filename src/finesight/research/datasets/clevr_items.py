"""Reads CLEVR-DS's shop and user photos, which `finesight render identities` draws.

They are annotated as DeepFashion2 is, and their scenes are known beside. So what is the same is
told by what it is, a model of a class in a colour and a material, and not by pair and style: two
pairs may have drawn the same thing, and a photo of either is a right answer.
"""

from collections.abc import Hashable
from pathlib import Path

from finesight.errors import DataError, InputError
from finesight.research.datasets import clevr_ds, deepfashion2
from finesight.research.datasets.records import ItemSet, Photo

KIND = "identities"


def load(source: Path) -> ItemSet:
    """Read such a set: an identity is (class, instance, colour, material).

    Photos whose size is not the one in `scenes.jsonl` are left out and reported, beside what
    `deepfashion2.load` reports. Raises InputError or DataError as it and `clevr_ds.load` do, and
    InputError for a set of another kind, or one that is not finished.
    """
    scenes = clevr_ds.load(source)
    kind = scenes.settings.get("kind")
    if kind != KIND:
        raise InputError(
            f"{source} holds {kind}, not shop and user photos of items: draw such with `finesight "
            "render identities`"
        )
    if not (source / "annos").is_dir():
        raise InputError(
            f"{source} is not finished (it has no annos folder yet): give the same `finesight "
            "render` command again, which goes on"
        )
    shown = {scene.path.stem: scene for scene in scenes.images}

    def identity_of(photo: Photo, number: int, pair: int, style: int) -> Hashable | None:
        file, scene = photo.path, shown.get(photo.path.stem)
        if scene is None:
            return None
        if (photo.width, photo.height) != (scene.width, scene.height):
            raise DataError(
                f"{file} has {photo.width} x {photo.height} pixels, and scenes.jsonl says "
                f"{scene.width} x {scene.height}: it was resized, so its boxes are wrong; delete "
                "it and render again, which draws it"
            )
        if style <= 0:
            return None
        objects = scene.objects
        if number > len(objects):
            raise DataError(
                f"{file}: its annotation has an item {number}, and scenes.jsonl {len(objects)} "
                "objects: run the same `finesight render` again, which mends it"
            )
        thing = objects[number - 1]
        return thing.class_name, thing.instance, thing.color, thing.material

    return deepfashion2.load(source, identity_of)
