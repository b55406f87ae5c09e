"""Reads the texts of CLEVR-DS: captions, typed queries, and captions that are nearly true."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from finesight.research.datasets import clevr_ds
from finesight.research.datasets.records import CaptionSet, TypedQueries, TypedQuery

LEVELS = (1, 2, 3, 4, 5)
"""Of detail: a class; its colour; two objects; how they stand to each other; all there is."""


def load_captions(directory: Path, levels: Collection[int] = LEVELS) -> CaptionSet:
    """Read `captions.jsonl` of a scene set, image by image in the set's order: five per image.

    levels: the levels of detail to read. Images are named as in a feature cache
    ("images/000012.jpg"); what else a caption is true of stands in `more`.
    Raises InputError where there are no captions, DataError where they are damaged.
    """
    scenes = clevr_ds.load(directory)
    place = {scene.index: i for i, scene in enumerate(scenes.images)}

    def read(record: Mapping[str, Any]) -> list[tuple[int, str, list[int]]]:
        chosen = (each for each in record["captions"] if each["level"] in levels)
        image = place[record["index"]]
        return [(image, each["text"], [place[i] for i in each["relevant"]]) for each in chosen]

    captions = list(chain(*clevr_ds.read_lines(directory, "captions.jsonl", read)))
    names = tuple(f"{scene.path.parent.name}/{scene.path.name}" for scene in scenes.images)
    more = [(n, i) for i, (own, _, true) in enumerate(captions) for n in true if n != own]
    return CaptionSet(
        directory.name,
        names,
        tuple(text for _, text, _ in captions),
        np.array([image for image, _, _ in captions], np.int64),
        np.array(more, np.int64).reshape(-1, 2),
    )


def load_queries(directory: Path) -> TypedQueries:
    """Read `queries.jsonl` of a scene set: five kinds; images are its numbers, as text.

    Raises InputError where there is none, DataError where it is damaged.
    """

    def read(line: Mapping[str, Any]) -> TypedQuery:
        return TypedQuery(line["kind"], line["text"], frozenset(map(str, line["relevant"])))

    queries = clevr_ds.read_lines(directory, "queries.jsonl", read)
    numbers = clevr_ds.read_lines(directory, "scenes.jsonl", lambda scene: str(scene["index"]))
    return TypedQueries(tuple(queries), tuple(numbers))


@dataclass(frozen=True)
class HardNegatives:
    """m pairs of a true caption and one that is nearly true.

    image: (m,) int64, the place of each pair's image in its set; kinds: (m,) what is wrong with
    the false caption; true and false: (m,) texts.
    """

    image: np.ndarray
    kinds: tuple[str, ...]
    true: tuple[str, ...]
    false: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)


def load_negatives(directory: Path) -> HardNegatives:
    """Read `negatives.jsonl` of a scene set, with `{"index", "kind", "true", "false"}` a line.

    The scene's graph denies every false caption but the shuffled ones, which say nothing
    (research/scenes/words.py). Raises InputError where there are none, else DataError.
    """
    place = {scene.index: i for i, scene in enumerate(clevr_ds.load(directory).images)}

    def read(pair: Mapping[str, Any]) -> tuple[int, str, str, str]:
        return place[pair["index"]], str(pair["kind"]), str(pair["true"]), str(pair["false"])

    pairs = clevr_ds.read_lines(directory, "negatives.jsonl", read)
    image, kinds, true, false = zip(*pairs, strict=True) if pairs else ((), (), (), ())
    return HardNegatives(np.array(image, np.int64), kinds, true, false)
