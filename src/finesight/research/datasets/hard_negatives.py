"""Reads pairs of a true caption and one that is nearly true: `negatives.jsonl` of CLEVR-DS.

A line is `{"index": image, "kind": what is wrong, "true": text, "false": text}`; the scene's graph
denies every false caption but the shuffled ones, which say nothing (research/scenes/words.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finesight.research.datasets import clevr_ds


@dataclass(frozen=True)
class HardNegatives:
    """m pairs of captions.

    image: (m,) int64, the place of each pair's image in its set; kinds: (m,) what is wrong with
    the false caption; true and false: (m,) texts.
    """

    image: np.ndarray
    kinds: tuple[str, ...]
    true: tuple[str, ...]
    false: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)


def load(directory: Path) -> HardNegatives:
    """Read the pairs of a scene set; raises InputError where there are none, else DataError."""
    place = {scene.index: i for i, scene in enumerate(clevr_ds.load(directory).images)}

    def read(pair: Mapping[str, Any]) -> tuple[int, str, str, str]:
        return place[pair["index"]], str(pair["kind"]), str(pair["true"]), str(pair["false"])

    pairs = clevr_ds.read_lines(directory, "negatives.jsonl", read)
    image, kinds, true, false = zip(*pairs, strict=True) if pairs else ((), (), (), ())
    return HardNegatives(np.array(image, np.int64), kinds, true, false)
