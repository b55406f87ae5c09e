"""The collection on disk: which table is active, who may write, what it answers."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import lance
import numpy as np

from finesight.collection.indexing import look_at_files
from finesight.collection.migration import add_details, fuse_anew
from finesight.collection.schema import Record, table_schema, to_table, unpack
from finesight.collection.search import search_table
from finesight.collection.walking import Skipped, find_images
from finesight.errors import DataError, InputError
from finesight.models import DEFAULT, Model, load_model
from finesight.regions import parse_regions
from finesight.scoring import RANKINGS
from finesight.types import Hit, ImageVectors

MANIFEST = "collection.json"
FORMAT = "finesight-collection"
VERSION = 3

_COMMIT = 64  # images a commit: what a kill can cost at most


@dataclass(frozen=True)
class IndexReport:
    """What one run of indexing did; indexed counts new and changed images."""

    indexed: int
    unchanged: int
    skipped: tuple[Skipped, ...]


class Collection:
    """A folder with a Lance table of images and a small file that names it and its model.

    Open one with `Collection.open`; it is made by the first `add`.
    """

    def __init__(self, directory: Path, model: Model | None, settings: dict[str, Any]) -> None:
        self.directory = directory
        self._given = model
        self._settings = settings

    @staticmethod
    def open(directory: Path | str, model: Model | str | None = None) -> "Collection":
        """Open the collection in a folder; a missing one is made when images are added.

        model: a model or its name; the collection's own where it is not given, else the default
        one for a new collection. Raises DataError for a damaged collection, InputError for one
        made with another model.
        """
        directory = Path(directory).expanduser()
        settings = _read_settings(directory)
        loaded = load_model(model) if isinstance(model, str) else model
        if settings and loaded and loaded.fingerprint != settings["model"]["fingerprint"]:
            raise InputError(
                f"{directory} was made with the model {settings['model']['source']}, and "
                f"{loaded.source} is another: leave --model out, or index into another collection"
            )
        return Collection(directory, loaded, settings)

    @property
    def exists(self) -> bool:
        """Whether anything was ever indexed here."""
        return bool(self._settings)

    @cached_property
    def model(self) -> Model:
        """The model whose embeddings the collection holds."""
        if self._given is not None:
            return self._given
        if not self.exists:
            return load_model(DEFAULT)
        wanted = self._settings["model"]
        model = load_model(wanted["source"])
        if model.fingerprint != wanted["fingerprint"]:
            raise DataError(
                f"{self.directory} was made with another version of the model {model.source}: "
                "give the old version with --model DIR, or index into another collection"
            )
        return model

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self._table().count_rows()) if self.exists else 0

    def add(
        self,
        paths: Iterable[Path | str],
        regions: str | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        vectors: int | None = None,
    ) -> IndexReport:
        """Index the images of folders and files; only what is new or changed is looked at.

        regions: a name for `parse_regions`; the collection's, else the model's where not given.
        progress: called with (images done, images in all); vectors: k, how many fused vectors are
        kept of each image, the collection's, else the model's where not given; where they or the
        model's fusion changed, all images are fused anew. Raises InputError where there is
        nothing to index, the folder cannot be written, or another run is writing to it.
        """
        looked = regions or self._settings.get("regions") or self.model.regions
        parse_regions(looked)
        kept = vectors or self._settings.get("vectors") or self.model.vectors
        if kept < 1:
            raise InputError(f"keep at least one vector an image, got {kept}")
        files, unreadable = find_images(Path(path).expanduser() for path in paths)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.directory / ".lock", timeout=0):
                self._settings = _read_settings(self.directory) or self._create(looked, kept)
                self._bring_up_to_date(kept)
                report = self._add(files, looked, kept, progress)
                return replace(report, skipped=(*unreadable, *report.skipped))
        except filelock.Timeout as error:
            raise InputError(
                f"another run is indexing into {self.directory}: wait until it has ended"
            ) from error
        except OSError as error:
            raise InputError(
                f"cannot write to {self.directory}: {error.strerror or error}"
            ) from error

    def search(self, text: str, k: int = 10, rank_by: str = "regions") -> list[Hit]:
        """Return the k images that answer a text best, best first.

        rank_by: "regions" (the best region, of the images whose fused vectors come nearest),
        "exact" (the best region of all images), "fused" (the fused vectors alone), "whole" (the
        whole image alone) or "mean" (over all regions). The text is encoded as typed.
        """
        if not text.strip():
            raise InputError('the query is empty: say what to look for, such as "red mug"')
        if k < 1:
            raise InputError(f"ask for at least one hit, got {k}")
        if rank_by not in RANKINGS:
            raise InputError(f"rank by one of {', '.join(RANKINGS)}, got {rank_by!r}")
        if not self.exists:
            raise InputError(
                f"there is no collection in {self.directory}: make one with "
                f"`finesight index FOLDER --collection {self.directory}`"
            )
        table = self._table()
        if rank_by == "fused" and "fused" not in table.schema.names:
            raise InputError(
                f"{self.directory} keeps no fused vectors yet: index its images again, which adds "
                "them without looking"
            )
        return search_table(table, self.model.encoder.encode_texts([text])[0], k, rank_by)

    def status(self) -> dict[str, Any]:
        """Return what the collection holds: images, regions, model and format version."""
        if not self.exists:
            raise InputError(f"there is no collection in {self.directory}")
        return {
            "collection": str(self.directory),
            "images": len(self),
            "regions": self._settings["regions"],
            "fusion": self._settings.get("fusion"),
            "vectors": self._settings.get("vectors"),
            "model": self._settings["model"]["source"],
            "fingerprint": self._settings["model"]["fingerprint"],
            "version": self._settings["version"],
            "bytes": sum(p.stat().st_size for p in self.directory.rglob("*") if p.is_file()),
        }

    def _table(self) -> lance.LanceDataset:
        path = self.directory / self._settings["table"]
        try:
            return lance.dataset(str(path))
        except (ValueError, OSError) as error:
            raise DataError(
                f"the table {path} is missing or damaged: remove {self.directory} and index again"
            ) from error

    def _bring_up_to_date(self, vectors: int) -> None:
        """Add the columns of newer versions; fuse anew what was fused otherwise or not at all."""
        wanted = {"fusion": self.model.fusion_name, "vectors": vectors, "version": VERSION}
        table = self._table()
        there = "fused" in table.schema.names
        if there and all(self._settings.get(key) == value for key, value in wanted.items()):
            return
        add_details(table)
        fusion = (self._settings.get("fusion"), self._settings.get("vectors"))
        if not there or fusion != (self.model.fusion_name, vectors):
            fuse_anew(
                self._table(),
                lambda seen: self.model.fuse(seen, vectors),
                self.model.encoder.width,
            )
        self._settings = {**self._settings, **wanted}
        self._write_settings()

    def _write_settings(self) -> None:
        temporary = self.directory / f"{MANIFEST}.new"
        temporary.write_text(json.dumps(self._settings, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.directory / MANIFEST)

    def _create(self, regions: str, vectors: int) -> dict[str, Any]:
        """Make an empty table and, last, the file that names it."""
        model = self.model
        settings = {
            "format": FORMAT,
            "version": VERSION,
            "table": f"images-{model.fingerprint}.lance",
            "regions": regions,
            "model": {"source": model.source, "fingerprint": model.fingerprint},
            "fusion": model.fusion_name,
            "vectors": vectors,
        }
        schema = table_schema(model.encoder.width)
        path = self.directory / str(settings["table"])
        # A table without a file that names it is what a killed first run left behind.
        mode = "overwrite" if path.exists() else "create"
        lance.write_dataset(schema.empty_table(), str(path), mode=mode)
        self._settings = settings
        self._write_settings()
        return settings

    def _add(
        self,
        files: Sequence[Path],
        looked: str,
        vectors: int,
        progress: Callable[[int, int], None],
    ) -> IndexReport:
        columns = ["path", "sha256", "size", "mtime_ns", "looked"]
        rows = self._table().to_table(columns=columns).to_pylist()
        seen = {row["path"]: (row["size"], row["mtime_ns"], row["looked"]) for row in rows}
        hashes = {row["sha256"] for row in rows if row["looked"] == looked}
        new = [path for path in files if not _unchanged(path, seen, looked)]
        unchanged, total = len(files) - len(new), len(files)
        progress(unchanged, total)

        recent: dict[str, Record] = {}

        def known(digest: str) -> Record | None:
            if digest in hashes:
                return self._stored(digest, looked)
            return recent.get(digest)

        pending: list[Record] = []
        skipped: list[Skipped] = []
        indexed = 0
        for item in look_at_files(new, self.model, looked, vectors, known):
            if isinstance(item, Skipped):
                skipped.append(item)
            else:
                pending.append(item)
                recent[item.sha256] = item
                indexed += 1
            if len(pending) >= _COMMIT:
                self._commit(pending)
                hashes.update(recent)
                pending, recent = [], {}
            progress(unchanged + indexed + len(skipped), total)
        if pending:
            self._commit(pending)
        return IndexReport(indexed, unchanged, tuple(skipped))

    def _commit(self, records: list[Record]) -> None:
        """Write records in one atomic step; a path that is there already is replaced."""
        rows = to_table(records, self.model.encoder.width)
        merge = self._table().merge_insert("path")
        merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def _stored(self, digest: str, looked: str) -> Record | None:
        """Return the row of identical bytes, looked at in the same way."""
        rows = self._table().to_table(
            filter=f"sha256 = '{digest}' AND looked = '{looked}'", limit=1
        )
        if rows.num_rows == 0:
            return None
        row = rows.select(["path", "size", "mtime_ns", "width", "height"]).to_pylist()[0]
        embeddings, _ = unpack(rows["regions"].combine_chunks())
        boxes, _ = unpack(rows["boxes"].combine_chunks())
        fused, _ = unpack(rows["fused"].combine_chunks())
        vectors = ImageVectors(boxes, embeddings.astype(np.float32))
        return Record(
            id="",
            path=Path(row["path"]),
            sha256=digest,
            looked=looked,
            vectors=vectors,
            fused=fused.astype(np.float32),
            size=row["size"],
            mtime_ns=row["mtime_ns"],
            width=row["width"],
            height=row["height"],
        )


def _read_settings(directory: Path) -> dict[str, Any]:
    """Return what `collection.json` says, or nothing where there is none."""
    path = directory / MANIFEST
    if not path.exists():
        if directory.exists() and not directory.is_dir():
            raise InputError(f"{directory} is a file: name a folder for the collection")
        return {}
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if settings["format"] != FORMAT or settings["version"] > VERSION:
            raise DataError(
                f"{path} has format {settings['format']!r} version {settings['version']}; this "
                f"finesight reads up to version {VERSION}: update finesight"
            )
        settings["model"]["source"], settings["model"]["fingerprint"], settings["table"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}): remove {directory} and index again"
        ) from error
    return settings


def _unchanged(path: Path, seen: dict[str, tuple[int, int, str]], looked: str) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False  # it is read later, where the reason is reported
    return seen.get(str(path)) == (stat.st_size, stat.st_mtime_ns, looked)
