"""Reads Flickr30K-CFQ: compact and fragmented queries over the 1,000 test images of Flickr30K.

As published: queries.json (text to kind and images), folds.json (11 lists of 150 texts; the first
ten part all 1,500, the last one is another draw of them), enhanced_queries.json (a language model's
descriptions), test_image_ids.json, and captions of 1,000 test images, of which 25 are the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.annotations.json_files import MALFORMED, read_json
from finesight.errors import DataError, InputError
from finesight.research.datasets.typed_queries import TypedQueries, TypedQuery

_KINDS = {
    "rawSentence": "raw",
    "simSentence": "similar",
    "fragment": "fragment",
    "phrase": "phrase",
    "tag": "tag",
}


@dataclass(frozen=True)
class Flickr30kCfq:
    """The queries with their folds; captions: five an image, by its id; descriptions: by text."""

    typed: TypedQueries
    captions: dict[str, tuple[str, ...]]
    descriptions: dict[str, tuple[str, ...]]


def load(directory: Path) -> Flickr30kCfq:
    """Read the five files; raises InputError where one is missing, DataError for a damaged one."""
    queries = _read(directory / "queries.json")
    try:
        typed = tuple(
            TypedQuery(_KINDS[entry["type"]], text, frozenset(map(str, entry["images"])))
            for text, entry in queries.items()
        )
        places = {query.text: place for place, query in enumerate(typed)}
        folds = tuple(
            tuple(places[text] for text in fold) for fold in _read(directory / "folds.json")
        )
        captions = {
            Path(name).stem: tuple(texts)
            for name, texts in _read(directory / "flickr30k_test_captions.json").items()
        }
        images = tuple(str(id_) for id_ in _read(directory / "test_image_ids.json"))
        described = _read(directory / "enhanced_queries.json")
        descriptions = {text: tuple(map(_tidied, found)) for text, found in described.items()}
    except MALFORMED as error:
        raise DataError(
            f"{directory} does not hold Flickr30K-CFQ as published ({error!r}): fetch it again"
        ) from error
    return Flickr30kCfq(TypedQueries(typed, images, folds), captions, descriptions)


def _tidied(description: str) -> str:
    """Return a description without the stop that some begin with."""
    return description.lstrip(". ").strip()


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path} is missing: name the folder with Flickr30K-CFQ's five files")
    return read_json(path, "fetch it again")
