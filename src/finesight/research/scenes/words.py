"""Words for scenes: captions, the queries that people type, and captions that are nearly true.

Every text is made from a `Meaning`, so which images it is true of is computed, not guessed.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from finesight.files import write_atomic
from finesight.research.datasets.clevr_ds import SceneImage, SceneObject, SceneSet

QUERY_KINDS = ("raw", "similar", "fragment", "phrase", "tag")
"""The five kinds of query of Flickr30K-CFQ: two sentences, and three of what people type."""
NEGATIVE_KINDS = ("attribute", "attribute-swap", "object-swap", "relation", "order")
"""What is wrong in a hard negative, after ARO: the last one only shuffles the words."""

_WHERE = {
    "left": ("to the left of", "on the left side of"),
    "right": ("to the right of", "on the right side of"),
    "front": ("in front of", "closer than"),
    "behind": ("behind", "farther away than"),
}
_TYPED = {"left": "left of", "right": "right of", "front": "in front of", "behind": "behind"}
_OPPOSITE = {"left": "right", "right": "left", "front": "behind", "behind": "front"}
_OPENINGS = (("a photo of ", "a picture of "), ("a scene with ", "an image that shows "))


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


def finder_of(scenes: Iterable[SceneImage]) -> Callable[[Meaning], list[int]]:
    """Return what finds the images, by ascending number, in which a meaning with a noun holds."""
    by_class: dict[str, list[SceneImage]] = defaultdict(list)
    for scene in scenes:
        for name in {thing.class_name for thing in scene.objects}:
            by_class[name].append(scene)

    def images(meaning: Meaning) -> list[int]:
        candidates = min((by_class[noun.class_name] for noun in meaning.nouns), key=len)
        return sorted(scene.index for scene in candidates if meaning.holds(scene))

    return images


def write_words(directory: Path, scenes: SceneSet) -> None:
    """Write `captions.jsonl`, `queries.jsonl` and `negatives.jsonl` beside the scenes.

    A line of captions.jsonl is an image: its number and five captions of rising detail, each with
    its meaning and all images it is true of. A line of queries.jsonl is a query: kind, text, all
    relevant images, and whether it names a class that training must not name. A line of
    negatives.jsonl is a caption that is true of an image and one that differs in one thing and is
    not.
    """
    true_in = finder_of(scenes.images)
    captions, negatives = [], []
    queries: dict[tuple[str, str], dict[str, Any]] = {}

    def told(text: str, meaning: Meaning) -> dict[str, Any]:
        hidden = any(noun.class_name in scenes.never_named for noun in meaning.nouns)
        about = {"meaning": meaning.as_json(), "never_named": hidden}
        return {"text": text, "relevant": true_in(meaning), **about}

    for scene in scenes.images:
        if not any(thing.role == "query" for thing in scene.objects):
            continue
        rng = np.random.default_rng([int(scenes.settings["seed"]), scene.index, 2])
        levels = caption_meanings(rng, scene)
        entries = [
            {"level": level, **told(say(meaning, level > 3), meaning)}
            for level, meaning in enumerate(levels, 1)
        ]
        captions.append({"index": scene.index, "captions": entries})
        for kind, text, meaning in query_texts(rng, levels):
            if (kind, text) not in queries:
                queries[kind, text] = {"kind": kind, **told(text, meaning)}
        for kind, true, false in hard_negatives(rng, scene, levels, scenes.colors):
            negatives.append({"index": scene.index, "kind": kind, "true": true, "false": false})
    files = {"captions": captions, "queries": queries.values(), "negatives": negatives}
    for name, lines in files.items():
        write_atomic(directory / f"{name}.jsonl", "".join(map(compact, lines)))


def compact(record: dict[str, Any]) -> str:
    """Return a line of JSON without blanks."""
    return json.dumps(record, separators=(",", ":")) + "\n"


def caption_meanings(rng: Generator, scene: SceneImage) -> list[Meaning]:
    """Return five meanings of rising detail, all true of a scene.

    1 a class; 2 with its colour; 3 two objects with colours; 4 how they stand to each other;
    5 all objects with colour, material and size, and nothing else. Where a scene has one object, or
    two that stand too near, 3 and 4 say more of one instead.
    """
    order = rng.permutation(len(scene.objects))
    asked = [int(i) for i in order if scene.objects[i].role == "query"]
    first = scene.objects[asked[0]]
    noun = Noun(first.class_name, first.color)
    levels = [Meaning((Noun(first.class_name),)), Meaning((noun,))]
    pairs = [
        (where, other)
        for where, lists in scene.relations.items()
        for other, there in enumerate(lists)
        if asked[0] in there
    ]
    if not pairs:
        with_material = replace(noun, material=first.material)
        levels += [Meaning((with_material,)), Meaning((replace(with_material, size=first.size),))]
    else:
        where, other = pairs[int(rng.integers(len(pairs)))]
        second = scene.objects[other]
        nouns = (noun, Noun(second.class_name, second.color))
        levels += [Meaning(nouns), Meaning(nouns, ((0, where, 1),))]
    things = [scene.objects[int(i)] for i in order]
    every = [Noun(each.class_name, each.color, each.material, each.size) for each in things]
    return [*levels, Meaning(tuple(every), alone=True)]


def query_texts(rng: Generator, levels: Sequence[Meaning]) -> Iterator[tuple[str, str, Meaning]]:
    """Yield a query of every kind from the meanings of `caption_meanings`."""
    sentence = levels[int(rng.integers(2, 5))]
    yield "raw", say(sentence, long=True), sentence
    yield "similar", say(sentence, long=True, other=True), sentence
    part = levels[3] if levels[3].relations else levels[2]
    yield "fragment", say(part, bare=True), part
    yield "phrase", say(levels[1], bare=True), levels[1]
    yield "tag", levels[0].nouns[0].class_name, levels[0]


def hard_negatives(
    rng: Generator, scene: SceneImage, levels: Sequence[Meaning], colors: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, true caption, false caption): one thing is changed, and the scene denies it."""
    true = levels[3] if levels[3].relations else levels[1]
    text = say(true)
    first = true.nouns[0]
    other = str(rng.choice([c for c in colors if c != first.color]))
    changes = [("attribute", replace(true, nouns=(replace(first, color=other), *true.nouns[1:])))]
    if true.relations:
        a, b = true.nouns
        swapped = (replace(a, color=b.color), replace(b, color=a.color))
        ((i, where, j),) = true.relations
        changes += [
            ("attribute-swap", replace(true, nouns=swapped)),
            ("object-swap", replace(true, nouns=(b, a))),
            ("relation", replace(true, relations=((i, _OPPOSITE[where], j),))),
        ]
    for kind, meaning in changes:
        if not meaning.holds(scene):
            yield kind, text, say(meaning)
    words = text.split()
    shuffled = [words[int(i)] for i in rng.permutation(len(words))]
    if shuffled != words:
        yield "order", text, " ".join(shuffled)


def say(meaning: Meaning, long: bool = False, other: bool = False, bare: bool = False) -> str:
    """Put a meaning into words.

    long: with an opening, as a sentence; other: in other words; bare: without articles and
    fillers, as people type.
    """
    named = [_noun(noun, bare, other) for noun in meaning.nouns]
    if meaning.relations:
        ((i, where, j),) = meaning.relations
        if other:  # the same place, seen from the second object
            i, where, j = j, _OPPOSITE[where], i
        text = f"{named[i]} {_TYPED[where] if bare else _WHERE[where][other]} {named[j]}"
    else:
        named = named[::-1] if other else named
        listed = ", ".join(named[:-1]) + " and " * (len(named) > 1) + named[-1]
        text = " ".join(named) if bare else listed
        if meaning.alone:
            text += " only" if bare else (" and no other object" if other else " and nothing else")
    if bare or not (long or (len(meaning.nouns) == 1 and not meaning.alone)):
        return text
    return _OPENINGS[long][other] + text


def _noun(noun: Noun, bare: bool, other: bool) -> str:
    material = {"metal": "shiny metal", "matte": "dull"} if other else {}
    parts = (noun.size, noun.color, material.get(noun.material or "", noun.material))
    text = " ".join(filter(None, (*parts, noun.class_name)))
    return text if bare else f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
