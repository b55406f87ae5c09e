"""Reads a taxonomy in the files of WordNet: what a noun means, and what it is a kind of.

The format is that of the manual page wndb(5WN): `data.noun` holds a line for each meaning,
`index.noun` the meanings of each noun, the most frequent one first, `noun.exc` irregular plurals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from finesight.errors import DataError

_NUMBERED = re.compile(r"^ +\d+ ?")  # what a line of the licence begins with
_KIND_OF = ("@", "@i")  # hypernym, and that of a single thing


@dataclass(frozen=True)
class Meaning:
    """One meaning: its nouns, the meanings that it is a kind of, by offset, and its subject.

    subject: the number of WordNet's file for it, such as "05" of animals (lexnames(5WN)).
    """

    names: tuple[str, ...]
    above: tuple[str, ...]
    subject: str


@dataclass(frozen=True)
class Taxonomy:
    """Meanings by offset ("01440764"), the meanings of each noun, and irregular plurals.

    plurals: forms of a noun, such as "geese" of "goose"; attested: meanings that were found in
    the texts that WordNet counted, which are those that people use.
    """

    meanings: dict[str, Meaning]
    nouns: dict[str, tuple[str, ...]]
    plurals: dict[str, tuple[str, ...]]
    attested: frozenset[str]

    @staticmethod
    def read(directory: Path) -> Taxonomy:
        """Read WordNet's folder; raises DataError for a damaged one, or one with a loop."""
        lines = {name: _lines(directory, name) for name in ("data.noun", "index.noun")}
        irregular = directory / "noun.exc"
        try:
            meanings = dict(_meaning(line) for line in lines["data.noun"])
            nouns: dict[str, tuple[str, ...]] = {}
            attested: set[str] = set()
            for line in lines["index.noun"]:
                noun, offsets, counted = _noun(line)
                nouns[noun] = offsets
                attested.update(offsets[:counted])
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{directory} is no taxonomy that can be read ({error}): data.noun and index.noun "
                "are needed in WordNet's format, as the package wordnet-base has them"
            ) from error
        plurals: dict[str, list[str]] = {}
        if irregular.is_file():
            for line in irregular.read_text(encoding="utf-8").splitlines():
                plural, *singulars = line.split()
                for noun in singulars:
                    plurals.setdefault(_plain(noun), []).append(_plain(plural))
        taxonomy = Taxonomy(
            meanings,
            nouns,
            {noun: tuple(forms) for noun, forms in plurals.items()},
            frozenset(attested),
        )
        taxonomy._check(directory)
        return taxonomy

    @cached_property
    def below(self) -> dict[str, list[str]]:
        """The kinds of each meaning."""
        found: dict[str, list[str]] = {offset: [] for offset in self.meanings}
        for offset, meaning in self.meanings.items():
            for above in meaning.above:
                found[above].append(offset)
        return found

    def ancestors(self, offset: str) -> list[str]:
        """Return what a meaning is a kind of, the nearest first, itself not among it."""
        found: dict[str, None] = {}
        level = [offset]
        while level:
            level = [a for each in level for a in self.meanings[each].above if a not in found]
            found.update(dict.fromkeys(level))
        return list(found)

    def _check(self, directory: Path) -> None:
        """Raise DataError for a meaning of an unknown kind, or one that is a kind of itself."""
        left = {offset: len(each.above) for offset, each in self.meanings.items()}
        for offset, meaning in self.meanings.items():
            for above in meaning.above:
                if above not in self.meanings:
                    raise DataError(
                        f"{directory}: {meaning.names[0]} ({offset}) is a kind of {above}, which "
                        "is not in data.noun: the file is cut short or mixed from two versions"
                    )
        ready = [offset for offset, count in left.items() if not count]
        while ready:
            offset = ready.pop()
            del left[offset]
            for each in self.below[offset]:
                left[each] -= 1
                if not left[each]:
                    ready.append(each)
        if left:
            loop = " → ".join(self.meanings[each].names[0] for each in self._loop(left))
            raise DataError(
                f"{directory}: the taxonomy has a loop, so nothing in it has a place: {loop}"
            )

    def _loop(self, left: Iterable[str]) -> list[str]:
        """Return a loop among the meanings that stand in one or below one."""
        among = set(left)
        path = [next(iter(left))]
        while path[-1] not in path[:-1]:
            path.append(next(a for a in self.meanings[path[-1]].above if a in among))
        return path[path.index(path[-1]) :]


def licence_of(directory: Path) -> str:
    """Return the licence that stands in lines of their own before WordNet's data, if one does."""
    text = (directory / "data.noun").read_text(encoding="utf-8")
    lines = takewhile(lambda line: line.startswith("  "), text.splitlines())
    return "".join(f"{_NUMBERED.sub('', line).rstrip()}\n" for line in lines)


def _lines(directory: Path, name: str) -> list[str]:
    try:
        text = (directory / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{directory / name} cannot be read ({error}): give WordNet's folder, such as "
            "/usr/share/wordnet of the package wordnet-base"
        ) from error
    return [line for line in text.splitlines() if line and not line.startswith(" ")]


def _meaning(line: str) -> tuple[str, Meaning]:
    fields = line.split(" | ")[0].split()
    count = int(fields[3], 16)
    names = tuple(_plain(name) for name in fields[4 : 4 + 2 * count : 2])
    pointers = fields[5 + 2 * count :]
    if len(pointers) < 4 * int(fields[4 + 2 * count]):
        raise ValueError(f"the line of {fields[0]} is cut short")
    above = tuple(
        pointers[at + 1]
        for at in range(0, 4 * int(fields[4 + 2 * count]), 4)
        if pointers[at] in _KIND_OF
    )
    return fields[0], Meaning(names, above, fields[1])


def _noun(line: str) -> tuple[str, tuple[str, ...], int]:
    """Return a noun, its meanings, and how many of them, the first ones, were counted in texts."""
    fields = line.split()
    count = int(fields[2])
    return _plain(fields[0]), tuple(fields[-count:]), int(fields[-count - 1])


def _plain(name: str) -> str:
    """Return a noun as it is typed: "golden_retriever" has a space."""
    return name.replace("_", " ").lower()
