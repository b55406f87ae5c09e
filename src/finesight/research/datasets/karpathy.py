"""Reads Karpathy's splits of Flickr8K, Flickr30K and COCO (dataset_coco.json and its like).

Format: `images`, each with `filename`, `split`, `sentences` with `raw`, and in COCO `filepath`,
`cocoid` and the sentences' `sentid`, which are COCO's own numbers
(cs.stanford.edu/people/karpathy/deepimagesent).
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from finesight.annotations.json_files import expecting
from finesight.errors import InputError
from finesight.research.datasets.records import CaptionSet

PER_IMAGE = 5
"""Captions of an image that count where the protocol is the published one; COCO has up to 7."""


def parse(content: Any, path: Path, split: str, restval: bool, per_image: int | None) -> CaptionSet:
    """Return one split of what such a file at `path` holds, in its order.

    restval: whether "train" takes COCO's images of `restval` too, as published models do (113,287
    images with them, 82,783 without); per_image: an image's first captions that are read, None for
    all. Raises InputError for a split that is not there, DataError for a damaged file.
    """
    with expecting(
        f"{path} is not one of Karpathy's files, or is damaged",
        "it needs images with filename, split and sentences",
    ):
        pictures = content["images"]
        there = Counter(str(picture["split"]) for picture in pictures)
        wanted = {split, "restval"} if split == "train" and restval else {split}
        chosen = [picture for picture in pictures if picture["split"] in wanted]
        if not chosen:
            counts = ", ".join(f"{name} ({count} images)" for name, count in sorted(there.items()))
            raise InputError(f"{path} has no split {split!r}: it has {counts}")
        said = [picture["sentences"][:per_image] for picture in chosen]
        captions = [sentence for sentences in said for sentence in sentences]
        # Below the folder of all images: "val2014/COCO_val2014_000000391895.jpg".
        files = (filter(None, (each.get("filepath"), each["filename"])) for each in chosen)
        numbered = all("cocoid" in picture for picture in chosen)
        return CaptionSet(
            f"{path.stem} {split}",
            tuple(map("/".join, files)),
            tuple(str(sentence["raw"]).strip() for sentence in captions),
            np.repeat(np.arange(len(chosen)), [len(each) for each in said]),
            image_ids=tuple(int(p["cocoid"]) for p in chosen) if numbered else (),
            caption_ids=tuple(int(s["sentid"]) for s in captions) if numbered else (),
        )
