"""Reads Flickr30K-CFQ: compact and fragmented queries over the 1,000 test images of Flickr30K.

As published: queries.json (text to kind and images), folds.json (11 lists of 150 texts; the first
ten part all 1,500, the last one is another draw of them), enhanced_queries.json (a language model's
descriptions), test_image_ids.json, and captions of 1,000 test images, of which 25 are the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.annotations.json_files import expecting, read_json
from finesight.errors import InputError
from finesight.research.datasets.records import KINDS, TypedQueries, TypedQuery

_KINDS = dict(zip(("rawSentence", "simSentence", "fragment", "phrase", "tag"), KINDS, strict=True))
"""Our names of the kinds by theirs."""


@dataclass(frozen=True)
class Flickr30kCfq:
    """The queries with their folds; captions: five an image, by its id; descriptions: by text."""

    typed: TypedQueries
    captions: dict[str, tuple[str, ...]]
    descriptions: dict[str, tuple[str, ...]]


def load(directory: Path) -> Flickr30kCfq:
    """Read the five files; raises InputError where one is missing, DataError for a damaged one."""
    queries = _read(directory / "queries.json")
    with expecting(f"{directory} does not hold Flickr30K-CFQ as published", "fetch it again"):
        typed = tuple(
            TypedQuery(_KINDS[entry["type"]], text, frozenset(map(str, entry["images"])))
            for text, entry in queries.items()
        )
        places = {query.text: place for place, query in enumerate(typed)}
        folds = tuple(
            tuple(places[text] for text in fold) for fold in _read(directory / "folds.json")
        )
        captioned = _read(directory / "flickr30k_test_captions.json")
        captions = {Path(name).stem: tuple(texts) for name, texts in captioned.items()}
        images = tuple(map(str, _read(directory / "test_image_ids.json")))
        # Some descriptions begin with a stop.
        descriptions = {
            text: tuple(each.lstrip(". ").strip() for each in found)
            for text, found in _read(directory / "enhanced_queries.json").items()
        }
    return Flickr30kCfq(TypedQueries(typed, images, folds), captions, descriptions)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path} is missing: name the folder with Flickr30K-CFQ's five files")
    return read_json(path, "fetch it again")
