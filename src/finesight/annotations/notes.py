"""Captions and metadata that lie beside images: COCO's JSON, and metadata.jsonl or .csv.

The tables are those of the hub's image folders, with a row with `file_name` for each image
(huggingface.co/docs/datasets/image_dataset).
"""

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finesight.annotations.coco import parse_coco, plain_name
from finesight.annotations.json_files import MALFORMED, json_lines, parse_json
from finesight.errors import DataError

_TABLES = ("metadata.jsonl", "metadata.csv")
_CAPTIONS = ("caption", "captions", "text")
_GEOMETRY = ("file_name", "width", "height")  # of COCO's images: kept elsewhere


@dataclass(frozen=True)
class Note:
    """What is known of an image beside its pixels: a caption, and metadata by name."""

    caption: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def joined(self, other: "Note") -> "Note":
        """Return both: the captions below each other, the other's metadata over this one's."""
        captions = [c for c in (self.caption, other.caption) if c]
        return Note("\n".join(captions) or None, {**self.metadata, **other.metadata})

    @property
    def as_json(self) -> str | None:
        """The metadata as it is stored: a JSON object, or nothing."""
        text = json.dumps(self.metadata, ensure_ascii=False, sort_keys=True)
        return _storable(text) if self.metadata else None


def is_annotation(path: Path, named: bool = False) -> bool:
    """Whether a file name is one of captions or metadata; named: a person gave it."""
    if named:
        return path.suffix.lower() in (".json", ".jsonl", ".csv")
    in_coco = path.suffix == ".json" and path.parent.name == "annotations"
    return path.name in _TABLES or (in_coco and path.name.startswith(("captions", "instances")))


class Notes:
    """The notes of several annotation files, each for the images of its own folder.

    by_path: notes that are known already, by the image's path.
    """

    def __init__(self, by_path: Mapping[str, Note] | None = None) -> None:
        self._files: list[tuple[Path, dict[str, Note]]] = []
        self._by_path = by_path or {}

    def read(self, path: Path) -> None:
        """Add the notes of a file; raises DataError for one that is damaged or of another kind."""
        folder = path.parent.parent if path.parent.name == "annotations" else path.parent
        try:
            self._files.append((folder, _read(path)))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}") from error
        except (*MALFORMED, csv.Error) as error:
            raise DataError(f"damaged, or not of a known kind: {error!r}") from error

    def of(self, path: Path) -> Note:
        """Return what is known of an image: by its path below the folder, or the end of it."""
        note = self._by_path.get(str(path), Note())
        for folder, notes in self._files:
            if path.is_relative_to(folder):
                parts = path.relative_to(folder).parts
                names = ("/".join(parts[i:]) for i in range(len(parts)))
                note = note.joined(next((notes[n] for n in names if n in notes), Note()))
        return note


def note_of_sidecars(files: dict[str, bytes]) -> Note:
    """Return the note in the files beside an image of a webdataset: by their endings."""
    words = next((files[end] for end in ("txt", "text", "caption") if end in files), b"")
    content = None
    with contextlib.suppress(ValueError):  # the image is what matters; its words are missing then
        content = parse_json(files.get("json", b""), strict=True)
    note = _plain(content) if isinstance(content, dict) else Note()
    return Note(words.decode("utf-8", "replace").strip() or note.caption, note.metadata)


def _read(path: Path) -> dict[str, Note]:
    if path.suffix.lower() == ".json":
        return _coco(parse_json(path.read_bytes(), strict=True))
    text = path.read_text(encoding="utf-8-sig")
    rows: Iterable[dict[str, Any]]
    if path.suffix.lower() == ".csv":
        rows = csv.DictReader(io.StringIO(text))
    else:
        rows = (parse_json(line, strict=True) for _, line in json_lines(text))
    return {plain_name(row["file_name"]): _plain(row) for row in rows}


def _storable(text: str) -> str:
    """Return a text without lone surrogates, which JSON may hold and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode()


def _coco(content: Any) -> dict[str, Note]:
    """Return the notes of images by each of their names."""
    coco = parse_coco(content, needs=["images"])
    notes = {}
    for image in coco.images or ():
        things = coco.annotations.get(image.id, [])
        plain: dict[str, Any] = {
            name: value
            for name, value in image.entry.items()
            if name not in _GEOMETRY and isinstance(value, str | int | float | bool)
        }
        if classes := {thing.category for thing in things if thing.category is not None}:
            plain["categories"] = sorted(classes)
        words = "\n".join(thing.caption for thing in things if thing.caption is not None)
        note = Note(_storable(words) or None, plain)
        notes.update(dict.fromkeys(image.names, note))
    return notes


def _plain(row: dict[str, Any]) -> Note:
    """Return a row of metadata as a note: one of its entries may be the caption."""
    kept = {str(k): v for k, v in row.items() if k not in (None, "file_name")}
    for name in _CAPTIONS:
        if kept.get(name):
            words = kept.pop(name)
            caption = "\n".join(map(str, words)) if isinstance(words, list) else str(words)
            return Note(_storable(caption), kept)
    return Note(None, kept)
