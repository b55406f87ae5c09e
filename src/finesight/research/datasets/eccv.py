"""Reads ECCV Caption and CxC: what else is true of COCO's test images and captions.

Format (Chun et al., ECCV 2022, github.com/naver-ai/eccv-caption): `eccv_image_to_caption.json` and
`eccv_caption_to_image.json`, and the same with `cxc`: from a COCO id to the ids that are true.
"""

from pathlib import Path

import numpy as np

from finesight.annotations.json_files import expecting, read_json
from finesight.errors import InputError
from finesight.research.datasets.records import CaptionSet, Judgements

KINDS = ("eccv", "cxc")


def load(directory: Path, captions: CaptionSet, kind: str = "eccv") -> Judgements:
    """Read the judgements of a kind for COCO's 5,000 test images.

    captions: Karpathy's test split of COCO, read from dataset_coco.json, which has COCO's ids.
    Raises InputError where a file is missing or the captions are of another set.
    """
    if not captions.image_ids or not captions.caption_ids:
        raise InputError(
            f"{captions.name} has no COCO ids, by which the judgements of {directory} are made: "
            "read the captions from Karpathy's dataset_coco.json"
        )
    images = {number: i for i, number in enumerate(captions.image_ids)}
    texts = {number: i for i, number in enumerate(captions.caption_ids)}
    asked, i2t = _read(directory / f"{kind}_image_to_caption.json", images, texts, captions.name)
    said, t2i = _read(directory / f"{kind}_caption_to_image.json", texts, images, captions.name)
    return Judgements(kind, asked, i2t, said, t2i)


def load_all(directory: Path, captions: CaptionSet) -> list[Judgements]:
    """Read every kind of judgements that a folder has; raises InputError where it has none."""
    there = [kind for kind in KINDS if (directory / f"{kind}_image_to_caption.json").is_file()]
    if not there:
        raise InputError(
            f"{directory} has no judgements: it needs eccv_image_to_caption.json and "
            "eccv_caption_to_image.json, or the same with cxc"
        )
    return [load(directory, captions, kind) for kind in there]


def _read(
    path: Path, queries: dict[int, int], answers: dict[int, int], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return which queries are asked (q,), and the answers that are true of each (q, answers)."""
    content = read_json(path)
    with expecting(f"{path} is no file of judgements, or is damaged", "it needs {ID: [ID, ...]}"):
        judged = {int(query): [int(i) for i in found] for query, found in content.items()}
    strange = [query for query in judged if query not in queries]
    strange += [i for found in judged.values() for i in found if i not in answers]
    if strange:
        raise InputError(
            f"{len(strange)} ids of {path} are not in {name} (the first is {strange[0]}): the "
            "judgements are of COCO's 5,000 test images and all their captions"
        )
    relevant = np.zeros((len(judged), len(answers)), bool)
    for row, found in enumerate(judged.values()):
        relevant[row, [answers[i] for i in found]] = True
    return np.array([queries[query] for query in judged], np.int64), relevant
