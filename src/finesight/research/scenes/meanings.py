"""What a sentence says of a scene, and in which scenes it is true."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from finesight.research.datasets.clevr_ds import SceneImage, SceneObject


@dataclass(frozen=True)
class Noun:
    """An object that a sentence speaks of; what is None is left open."""

    class_name: str
    color: str | None = None
    material: str | None = None
    size: str | None = None

    def fits(self, thing: SceneObject) -> bool:
        """Whether an object is one of these."""
        return all(
            getattr(self, part.name) in (None, getattr(thing, part.name)) for part in fields(self)
        )


@dataclass(frozen=True)
class Meaning:
    """Objects, how they stand to each other, and whether they are all there is.

    relations: (i, where, j): noun i is "left", "right", "front" or "behind" of noun j.
    """

    nouns: tuple[Noun, ...]
    relations: tuple[tuple[int, str, int], ...] = ()
    alone: bool = False

    def holds(self, scene: SceneImage) -> bool:
        """Whether the scene has a different object for every noun, standing as it is said."""
        if self.alone and len(scene.objects) != len(self.nouns):
            return False
        fitting = [
            [i for i, thing in enumerate(scene.objects) if noun.fits(thing)] for noun in self.nouns
        ]
        return any(
            len(set(chosen)) == len(chosen)
            and all(
                chosen[i] in scene.relations[where][chosen[j]] for i, where, j in self.relations
            )
            for chosen in itertools.product(*fitting)
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain data that says the same."""
        named = [{k: v for k, v in vars(noun).items() if v is not None} for noun in self.nouns]
        return {"nouns": named, "relations": [list(r) for r in self.relations], "alone": self.alone}


class Truth:
    """Finds all scenes of a set in which something is true."""

    def __init__(self, scenes: Iterable[SceneImage]) -> None:
        self._by_class: dict[str, list[SceneImage]] = defaultdict(list)
        for scene in scenes:
            for name in {thing.class_name for thing in scene.objects}:
                self._by_class[name].append(scene)

    def images(self, meaning: Meaning) -> list[int]:
        """Return the numbers of the images in which a meaning with a noun holds, ascending."""
        candidates: Sequence[SceneImage] = min(
            (self._by_class[noun.class_name] for noun in meaning.nouns), key=len
        )
        return sorted(scene.index for scene in candidates if meaning.holds(scene))
