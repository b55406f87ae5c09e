"""Captions and metadata that lie beside images: COCO's JSON, and metadata.jsonl or .csv.

Formats: cocodataset.org/#format-data (captions and instances); the hub's image folders, whose
metadata.jsonl or metadata.csv has a row with `file_name` for each image
(huggingface.co/docs/datasets/image_dataset).
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        if not self.metadata:
            return None
        text = json.dumps(self.metadata, ensure_ascii=False, sort_keys=True)
        return _storable(text)


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
        except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
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
    caption, metadata = None, {}
    for ending in ("txt", "text", "caption"):
        if ending in files:
            caption = files[ending].decode("utf-8", "replace").strip() or None
            break
    if "json" in files:
        try:
            content = _parse(files["json"])
        except ValueError:
            content = None  # the image is what matters; its words are missing then
        if isinstance(content, dict):
            note = _plain(content)
            caption, metadata = caption or note.caption, note.metadata
    return Note(caption, metadata)


def _read(path: Path) -> dict[str, Note]:
    if path.suffix.lower() == ".json":
        return _coco(_parse(path.read_bytes()))
    text = path.read_text(encoding="utf-8-sig")
    rows: Iterable[dict[str, Any]]
    if path.suffix.lower() == ".csv":
        rows = csv.DictReader(io.StringIO(text))
    else:
        rows = (_parse(line) for line in text.splitlines() if line.strip())
    return {_name(row["file_name"]): _plain(row) for row in rows}


def _parse(text: str | bytes) -> Any:
    """Read JSON; NaN and infinity, which it does not have but many files do, become null."""
    return json.loads(text, parse_constant=lambda name: None)


def _storable(text: str) -> str:
    """Return a text without lone surrogates, which JSON may hold and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode()


def _coco(content: dict[str, Any]) -> dict[str, Note]:
    names = {kind["id"]: kind["name"] for kind in content.get("categories", [])}
    captions: dict[Any, list[str]] = {}
    classes: dict[Any, set[str]] = {}
    for thing in content.get("annotations", []):
        if "caption" in thing:
            captions.setdefault(thing["image_id"], []).append(str(thing["caption"]).strip())
        if thing.get("category_id") in names:
            classes.setdefault(thing["image_id"], set()).add(names[thing["category_id"]])
    return dict(_coco_images(content["images"], captions, classes))


def _coco_images(
    pictures: list[dict[str, Any]], captions: dict[Any, list[str]], classes: dict[Any, set[str]]
) -> Iterator[tuple[str, Note]]:
    for picture in pictures:
        key = picture["id"]
        plain = {k: v for k, v in picture.items() if k not in _GEOMETRY and _is_plain(v)}
        if key in classes:
            plain["categories"] = sorted(classes[key])
        words = _storable("\n".join(captions.get(key, [])))
        yield _name(picture["file_name"]), Note(words or None, plain)


def _plain(row: dict[str, Any]) -> Note:
    """Return a row of metadata as a note: one of its entries may be the caption."""
    kept = {str(k): v for k, v in row.items() if k not in (None, "file_name")}
    for name in _CAPTIONS:
        if kept.get(name):
            words = kept.pop(name)
            caption = "\n".join(map(str, words)) if isinstance(words, list) else str(words)
            return Note(_storable(caption), kept)
    return Note(None, kept)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _name(name: str) -> str:
    return str(name).replace("\\", "/").removeprefix("./")
