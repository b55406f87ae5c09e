"""Reads evaluation lists: `[{"image": "flickr30k-images/1.jpg", "caption": ["...", ...]}, ...]`.

As ALBEF, BLIP and X-VLM publish them for Flickr30K and COCO; in lists for training, `caption` is
one text and an image has several entries.
"""

from pathlib import Path
from typing import Any

import numpy as np

from finesight.annotations.json_files import MALFORMED, read_json_lines
from finesight.errors import DataError
from finesight.research.datasets.records import CaptionSet


def load_lines(path: Path) -> CaptionSet:
    """Read a list with an entry a line, as `finesight caption` writes it; raises as `load` does."""
    return parse(read_json_lines(path, lambda entry: entry), path)


def parse(content: Any, path: Path) -> CaptionSet:
    """Return the images and captions of such a list, each image once, in its order.

    Raises DataError where an entry is not what it should be, and says which.
    """
    place: dict[str, int] = {}
    captions: list[str] = []
    owner: list[int] = []
    for number, entry in enumerate(content, 1):
        try:
            said = entry["caption"]
            texts = [said] if isinstance(said, str) else [str(text) for text in said]
            image = place.setdefault(str(entry["image"]), len(place))
        except MALFORMED as error:
            raise DataError(
                f"{path}, entry {number} is not an image with its captions ({error!r}): it needs "
                '{"image": FILE, "caption": [TEXT, ...]}'
            ) from error
        captions += [text.strip() for text in texts]
        owner += [image] * len(texts)
    return CaptionSet(path.stem, tuple(place), tuple(captions), np.array(owner, np.int64))
