"""Which nouns a classifier knows: what a taxonomy calls its classes, and what they are kinds of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from finesight.errors import DataError
from finesight.research.training.words.wordnet import Taxonomy

LARGEST_GROUP = 400
"""Classes that a word may stand for: "animal" says something of an image, "object" does not."""

_ANIMALS = "05"  # WordNet's number of the subject
_FAMILIAR = range(3, 121)  # classes of an animal whose kinds look like it: "dog", not "ruminant"
_OFFSET = re.compile(r"n?(\d{8})")
_ENDS_IN_ES = re.compile(r"(s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")


@dataclass(frozen=True)
class Vocabulary:
    """Nouns, and the classes that each stands for.

    groups: sets of classes, by their numbers; words: of each noun the number of its group;
    unplaced: names of classes that the taxonomy does not have, which are known by these alone.
    """

    groups: tuple[tuple[int, ...], ...]
    words: dict[str, int]
    unplaced: tuple[str, ...] = ()

    def classes(self, word: str) -> tuple[int, ...]:
        """Return the classes that a noun stands for, none for one that is not known."""
        return self.groups[self.words[word]] if word in self.words else ()


def build_vocabulary(labels: Sequence[str], taxonomy: Taxonomy) -> Vocabulary:
    """Return the nouns that a classifier knows, with their plurals.

    labels: what each class is called: an id of ImageNet (n01440764), or its names with commas
    between. A noun is known that names a class, several classes (what they are kinds of), a kind of
    a class, or a kind of a familiar animal.
    Of a noun's meanings the most frequent one counts that has a class, and all that are one.
    Raises DataError where the taxonomy has none of the classes.
    """
    places = place_classes(labels, taxonomy)
    if not any(places):
        raise DataError(
            f"the taxonomy has none of the classifier's {len(labels)} classes (the first is "
            f"{labels[0]!r}): its labels must be ids of ImageNet (n01440764) or nouns of WordNet"
        )
    own = {place: number for number, place in enumerate(places) if place is not None}
    below: dict[str, set[int]] = {}
    for offset, number in own.items():
        for meaning in (offset, *taxonomy.ancestors(offset)):
            below.setdefault(meaning, set()).add(number)
    known = {
        meaning: tuple(sorted(classes))
        for meaning, classes in below.items()
        if len(classes) <= LARGEST_GROUP
    }
    found: dict[str, tuple[int, ...]] = {}
    for noun, meanings in taxonomy.nouns.items():
        classes = _classes(meanings, known, own, taxonomy)
        if classes:
            found[noun] = classes
    for number, (label, place) in enumerate(zip(labels, places, strict=True)):
        if place is None:
            found |= {name: (number,) for name in _names(label) if name not in found}
    words = dict(found)
    for noun, classes in found.items():
        for form in plurals(noun, taxonomy.plurals.get(noun, ())):
            words.setdefault(form, classes)
    groups = {classes: number for number, classes in enumerate(dict.fromkeys(words.values()))}
    left_out = tuple(label for label, place in zip(labels, places, strict=True) if place is None)
    return Vocabulary(
        tuple(groups), {word: groups[classes] for word, classes in words.items()}, left_out
    )


def place_classes(labels: Sequence[str], taxonomy: Taxonomy) -> list[str | None]:
    """Return the meaning that each class is, None for one that the taxonomy does not have."""
    taken: set[str] = set()
    places: list[str | None] = []
    for label in labels:
        match = _OFFSET.fullmatch(label.strip())
        if match:
            fitting: Iterable[str] = [match[1]] if match[1] in taxonomy.meanings else []
        else:
            names = _names(label)
            fitting = [
                meaning
                for meaning in taxonomy.nouns.get(names[0], ())
                if set(names) <= set(taxonomy.meanings[meaning].names)
            ]
        place = next((meaning for meaning in fitting if meaning not in taken), None)
        taken.update([place] if place else [])
        places.append(place)
    return places


def plurals(noun: str, irregular: Sequence[str] = ()) -> list[str]:
    """Return the plurals of a noun, of which the last word changes: the irregular ones, if any."""
    if irregular:
        return list(irregular)
    if _ENDS_IN_ES.search(noun):
        return [f"{noun}es"]
    if _CONSONANT_Y.search(noun):
        return [f"{noun[:-1]}ies"]
    return [f"{noun}s"]


def _classes(
    meanings: Sequence[str],
    known: dict[str, tuple[int, ...]],
    own: dict[str, int],
    taxonomy: Taxonomy,
) -> tuple[int, ...]:
    """Return the classes that a noun of these meanings stands for, the most frequent first."""
    named = next((known[meaning] for meaning in meanings if meaning in known), None)
    if named is not None:
        return tuple(sorted({*named, *(own[m] for m in meanings if m in own)}))
    for meaning in meanings:
        kind_of = next((a for a in taxonomy.ancestors(meaning) if a in own), None)
        if kind_of is not None:
            return known[kind_of]
    first = meanings[0]
    for above in taxonomy.meanings[first].above:
        animal = taxonomy.meanings[above].subject == _ANIMALS
        if animal and above in taxonomy.attested and len(known.get(above, ())) in _FAMILIAR:
            return known[above]
    return ()


def _names(label: str) -> list[str]:
    return [name.strip().replace("_", " ").lower() for name in label.split(",") if name.strip()]
