"""Reads pairs of a true caption and one that is nearly true: `negatives.jsonl` of CLEVR-DS.

A line is `{"index": image, "kind": what is wrong, "true": text, "false": text}`; the scene's graph
denies every false caption but the shuffled ones, which say nothing (research/scenes/words.py).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finesight.errors import DataError, InputError
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
    path = directory / "negatives.jsonl"
    if not path.is_file():
        raise InputError(
            f"{directory} has no negatives.jsonl: sets of scenes have one once `finesight render "
            "scenes` is done with them"
        )
    place = {scene.index: i for i, scene in enumerate(clevr_ds.load(directory).images)}
    image, kinds, true, false = [], [], [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            pair = json.loads(line)
            image.append(place[pair["index"]])
            kinds.append(str(pair["kind"]))
            true.append(str(pair["true"]))
            false.append(str(pair["false"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}, line {number} is damaged or of other scenes ({error!r}): run the same "
                "`finesight render` again, which mends it"
            ) from error
    return HardNegatives(np.array(image, np.int64), tuple(kinds), tuple(true), tuple(false))
