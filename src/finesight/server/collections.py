"""The collections a server has: opened when first asked for, and again when they changed."""

import contextlib
import itertools
import os
import re
import threading
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, cast

from finesight.server.problems import Problem
from finesight.server.recent import Recent

# What a collection needs takes a quarter of a second to import: the page is there before that.
if TYPE_CHECKING:
    from finesight.collection import Collection
    from finesight.encoders import Encoder
    from finesight.models import Model
    from finesight.server.batching import BatchingEncoder

ID = re.compile(r"[0-9a-f]{16}")
"""What the id of an image looks like; nothing else reaches a filter."""

_REMEMBERED = 50_000  # images whose rows are kept, so that a thumbnail needs no query
_DESCRIPTION = "collection.json"  # replaced whenever what a collection is changes
_FOLDERS = 200  # named in an outline


@dataclass(frozen=True)
class ImageRow:
    """What the server knows of an image: its id, its file, and its size upright in pixels."""

    id: str
    path: str
    width: int
    height: int


COLUMNS = [each.name for each in fields(ImageRow)]
"""What is read of an image to serve it."""


@dataclass(frozen=True)
class Folder:
    """A folder below the images' common one, and how many images are in it and below."""

    path: str
    images: int


@dataclass(frozen=True)
class Outline:
    """How many images a collection has, and where: their common folder, and those below it.

    folders: the largest first.
    """

    images: int = 0
    root: str = ""
    folders: tuple[Folder, ...] = ()

    def shown(self, path: Path | str) -> str:
        """Return a path as people may see it: below the root, with forward slashes."""
        with contextlib.suppress(ValueError):  # of another drive
            if self.root:
                return PurePath(os.path.relpath(path, self.root)).as_posix()
        return PurePath(path).name


class ServedCollection:
    """One collection as it is served: its name, and snapshots of what is in it.

    The server only reads. Readers and a process that indexes do not wait for each other.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._seen: object = None  # the state of the description when it was opened
        self._collection: Collection | None = None
        self._ready: Collection | None = None  # the same, once it has its model
        self._model: Model | None = None
        self.encoder: BatchingEncoder | None = None
        """The encoder that all searches share, once one was needed."""
        self._rows: Recent[str, ImageRow] = Recent(_REMEMBERED)
        self._version: int | None = None  # of the table that the rows are from
        self._outlined: tuple[int, Outline] | None = None

    def collection(self) -> "Collection":
        """Return the collection, opened again where its description changed; may not exist yet."""
        from finesight.collection import Collection

        try:
            stat = (self.directory / _DESCRIPTION).stat()
            state = stat.st_mtime_ns, stat.st_size, stat.st_ino
        except OSError:
            state = None
        with self._lock:
            if self._collection is None or self._seen != state:
                self._collection, self._seen = Collection.open(self.directory), state
            return self._collection

    def searchable(self) -> "Collection":
        """Return the collection with its model, whose encoder all threads share.

        Raises Problem where nothing was indexed yet.
        """
        from finesight.collection import Collection
        from finesight.server.batching import BatchingEncoder

        with self._loading:
            opened = self.collection()
            if not opened.exists:
                raise Problem(404, f"Nothing has been indexed into {self.name} yet.")
            if opened is self._ready:
                return opened
            fingerprint = opened.status()["fingerprint"]
            if self._model is None or self._model.fingerprint != fingerprint:
                self.encoder = BatchingEncoder(opened.model.encoder)
                self._model = replace(opened.model, encoder=cast("Encoder", self.encoder))
            self._ready = Collection.open(self.directory, self._model)
            with self._lock:  # one snapshot is enough for both
                if self._collection is opened:
                    self._collection = self._ready
            return self._ready

    @property
    def tells_items(self) -> bool:
        """Whether the model tells one thing from others of its kind, once it is loaded."""
        return self._model is not None and self._model.item_head is not None

    def warm(self) -> None:
        """Load what a first search would wait for."""
        if self.collection().exists:
            self.searchable().search("a", k=1)

    def remember(self, row: ImageRow) -> ImageRow:
        """Return a row and keep it at hand: its picture will be asked for next."""
        self._rows.put(row.id, row)
        return row

    def image(self, id_: str) -> ImageRow:
        """Return the image with an id; raises Problem where the collection has none."""
        if ID.fullmatch(id_) and self.collection().exists:
            table = self.collection().table()
            with self._lock:
                if self._version != table.version:  # images went, or moved
                    self._rows.clear()
                    self._version = table.version
            if (row := self._rows.get(id_)) is not None:
                return row
            for found in table.read(COLUMNS, f"id = '{id_}'", limit=1).to_pylist():
                return self.remember(ImageRow(**found))
        raise Problem(404, f"{self.name} has no image with this id.")

    def outline(self) -> Outline:
        """Return what the images' paths have in common; computed again when images came or went."""
        if not self.collection().exists:
            return Outline()
        table, known = self.collection().table(), self._outlined
        if known is not None and known[0] == table.version:
            return known[1]
        outline = outline_of(table.read(["path"])["path"].to_pylist())
        self._outlined = (table.version, outline)
        return outline


class ServedCollections:
    """The collections of a server, by name."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._by_name: dict[str, ServedCollection] = {}
        for directory in directories:
            name = _name(directory, self._by_name)
            self._by_name[name] = ServedCollection(name, directory)

    def __iter__(self) -> Iterator[ServedCollection]:
        return iter(self._by_name.values())

    def get(self, name: str | None = None) -> ServedCollection:
        """Return a collection by its name, the first one without; raises Problem for another."""
        if name is None:
            return next(iter(self))
        if name not in self._by_name:
            raise Problem(404, f"There is no such collection here: {', '.join(self._by_name)}.")
        return self._by_name[name]


def outline_of(paths: Sequence[str]) -> Outline:
    """Return the common folder of absolute paths, and the folders below it with their counts."""
    if not paths:
        return Outline()
    first, last = min(paths), max(paths)  # what these two share, all share
    root = os.path.commonpath([os.path.dirname(first), os.path.dirname(last)])  # noqa: PTH120
    counts: Counter[str] = Counter()
    for folder, images in Counter(os.path.dirname(path) for path in paths).items():  # noqa: PTH120
        below = PurePath(os.path.relpath(folder, root))
        for part in (below, *below.parents):
            counts[part.as_posix()] += images
    counts.pop(".", None)
    return Outline(len(paths), root, tuple(Folder(*each) for each in counts.most_common(_FOLDERS)))


def _name(directory: Path, taken: Container[str]) -> str:
    """Return a short name for a collection: its folder's, or the one around it, not yet taken."""
    folder = directory.expanduser().absolute()
    generic = folder.name in ("collection", "index", "finesight")
    base = (folder.parent.name if generic else folder.name.removesuffix(".finesight")) or "images"
    further = (f"{base}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([base], further) if name not in taken)
