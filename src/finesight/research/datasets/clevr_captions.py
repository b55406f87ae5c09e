"""Reads the captions of CLEVR-DS: five per image, each with every image that it is true of."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from finesight.research.datasets import clevr_ds
from finesight.research.datasets.records import CaptionSet

LEVELS = (1, 2, 3, 4, 5)
"""Of detail: a class; its colour; two objects; how they stand to each other; all there is."""


def load(directory: Path, levels: Collection[int] = LEVELS) -> CaptionSet:
    """Read `captions.jsonl` of a scene set, image by image in the set's order.

    levels: the levels of detail to read. Images are named as in a feature cache
    ("images/000012.jpg"); what else a caption is true of stands in `more`.
    Raises InputError where there are no captions, DataError where they are damaged.
    """
    scenes = clevr_ds.load(directory)
    place = {scene.index: i for i, scene in enumerate(scenes.images)}
    texts: list[str] = []
    owner: list[int] = []
    more: list[tuple[int, int]] = []

    def read(record: Mapping[str, Any]) -> None:
        image = place[record["index"]]
        for caption in record["captions"]:
            if caption["level"] in levels:
                more.extend((place[i], len(texts)) for i in caption["relevant"])
                texts.append(caption["text"])
                owner.append(image)

    clevr_ds.read_lines(directory, "captions.jsonl", read)
    return CaptionSet(
        directory.name,
        tuple(f"{scene.path.parent.name}/{scene.path.name}" for scene in scenes.images),
        tuple(texts),
        np.array(owner, np.int64),
        np.array([pair for pair in more if owner[pair[1]] != pair[0]], np.int64).reshape(-1, 2),
    )
