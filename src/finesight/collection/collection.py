"""The collection on disk: which table is active, who may write, what it answers."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import lance
import numpy as np
import pyarrow as pa

from finesight.collection.asking import Asked, as_query, encode_query
from finesight.collection.exporting import export_vectors, read_rows
from finesight.collection.filtering import condition
from finesight.collection.grouping import search_grouped
from finesight.collection.indexing import look_at_files
from finesight.collection.progress import shown_progress
from finesight.collection.schema import (
    Record,
    fused_field,
    lists,
    table_schema,
    to_table,
    unpack,
)
from finesight.collection.search import search_table
from finesight.collection.snapshot import Snapshot
from finesight.collection.storage import Storage, rewrite
from finesight.collection.tuning import Optimized, some_texts, tune, two_stage_recall
from finesight.collection.upkeep import keep_fast
from finesight.collection.walking import Skipped, find_images
from finesight.collection.writing import only_writer
from finesight.errors import DataError, InputError
from finesight.models import DEFAULT, Model, load_model
from finesight.regions import parse_regions
from finesight.scoring import RANKINGS
from finesight.types import Hit, ImageVectors

MANIFEST = "collection.json"
FORMAT = "finesight-collection"
VERSION = 2

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
        self._snapshot: Snapshot | None = None

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

    @property
    def storage(self) -> Storage:
        """How the regions of the images are kept."""
        self._need_images()
        return Storage.of(self._table())

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
                self._fuse_anew(kept)
                with shown_progress(self.directory, progress) as shown:
                    report = self._add(files, looked, kept, shown)
                return replace(report, skipped=(*unreadable, *report.skipped))
        except filelock.Timeout as error:
            raise InputError(
                f"another run is indexing into {self.directory}: wait until it has ended"
            ) from error
        except OSError as error:
            raise InputError(
                f"cannot write to {self.directory}: {error.strerror or error}"
            ) from error

    def search(
        self,
        query: Asked | None = None,
        k: int = 10,
        rank_by: str = "regions",
        *,
        near: Path | str | None = None,
        where: str | None = None,
        path: str | None = None,
        offset: int = 0,
        group: bool = False,
        words: bool = False,
        detail: float = 1.0,
    ) -> list[Hit]:
        """Return the k images that answer a query best, best first.

        query: a text, encoded as typed; an image (a path, or pixels of Pillow); or several of both
        with weights: a `Query`, such as `finesight.queries.parse_query` reads, or its parts.
        near: an indexed image: more like it, itself left out.
        rank_by: "regions" (the best region, of the images whose fused vectors come nearest),
        "exact" (the best region of all images), "fused" (the fused vectors alone), "whole" (the
        whole image alone) or "mean" (over all regions).
        where: a condition in SQL on the columns; path: a glob on paths; both hold before the best
        are taken. offset: how many of the best to pass over, for paging. group: near-duplicates
        stand behind the best of them, as its `similar`. words: captions and file names count as
        well; the two rankings are merged, and the score is the sum of reciprocal ranks.
        detail: where regions rank, how much the best one counts, from 0 (the whole image alone) to
        1. Raises InputError, with what to do, for whatever cannot be answered.
        """
        asked = as_query(query, near)
        if k < 1:
            raise InputError(f"ask for at least one hit, got {k}")
        if offset < 0:
            raise InputError(f"the offset is how many hits to pass over, got {offset}")
        if not 0 <= detail <= 1:
            raise InputError(f"detail is between 0 (the whole image) and 1, got {detail}")
        if words and not any(part.text and part.weight > 0 for part in asked.parts):
            raise InputError("there are no words in the query to look for in captions and names")
        if rank_by not in RANKINGS:
            raise InputError(f"rank by one of {', '.join(RANKINGS)}, got {rank_by!r}")
        self._need_images()
        snapshot = self._latest()
        if rank_by == "fused" and not snapshot.has_fused:
            raise InputError(
                f"{self.directory} keeps no fused vectors yet: index its images again, which adds "
                "them without looking"
            )
        allowed = condition(snapshot.dataset, where, path)
        vectors = encode_query(asked, lambda: self.model.encoder, snapshot.dataset)
        vectors = replace(vectors, detail=detail)
        answer = search_grouped if group else search_table
        return answer(snapshot, vectors, k, rank_by, allowed, offset, words)

    def optimize(
        self,
        texts: Sequence[str] | None = None,
        recall: float = 0.98,
        say: Callable[[str], None] = lambda message: None,
        storage: Storage | None = None,
    ) -> Optimized:
        """Bring the indexes in step, tune them for texts, and measure what a search finds.

        storage: how regions are to be kept from now on; those that are there are kept anew, and
        what is left out of them comes back only when the images are looked at again.

        texts: what to measure with; the captions, where there are any, else everyday words.
        recall: the share of the exact ten best by their fused vectors that the index is to find.
        say: is told of what may take minutes.
        """
        if not self.exists or not len(self):
            raise InputError(f"there is nothing to optimize in {self.directory}: index images")
        with only_writer(self.directory):
            if storage is not None and storage != self.storage:
                say(f"keeping the regions of {len(self):,} images anew")
                rewrite(self._table(), storage)
            keep_fast(self._table(), self._made_of, say)
            snapshot = self._latest()
            asked = list(texts or some_texts(snapshot.dataset))
            queries = self.model.encoder.encode_texts(asked)
            say(f"measuring with {len(asked)} texts")
            settings, chosen = tune(snapshot, queries, recall)
            self._snapshot = None  # the next search asks as many partitions as were chosen
            found = two_stage_recall(self._latest(), queries)
        return Optimized(snapshot.images, snapshot.vectors, len(asked), settings, chosen, found)

    def read(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        path: str | None = None,
    ) -> pa.RecordBatchReader:
        """Return the images as Arrow, batch by batch: paths, sizes, captions, boxes, vectors.

        columns: all where not given; boxes are lists of normalised xyxy, one a region. where and
        path: as in `search`. Raises InputError for a column or a condition that cannot be read.
        """
        self._need_images()
        table = self._table()
        return read_rows(table, columns, condition(table, where, path))

    def export_vectors(
        self,
        out: Path | str,
        vectors: str = "fused",
        *,
        where: str | None = None,
        path: str | None = None,
    ) -> tuple[int, int]:
        """Write vectors to a .parquet or .npz file, one row a vector; returns (images, vectors).

        vectors: "fused", "regions" or "whole". where and path: as in `search`.
        """
        self._need_images()
        table = self._table()
        file = Path(out).expanduser()
        return export_vectors(table, file, vectors, condition(table, where, path))

    def _need_images(self) -> None:
        if not self.exists:
            raise InputError(
                f"there is no collection in {self.directory}: make one with "
                f"`finesight index FOLDER --collection {self.directory}`"
            )

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

    def table(self) -> lance.LanceDataset:
        """Return the images as they stand: a snapshot that later writes do not change."""
        if not self.exists:
            raise InputError(f"there is no collection in {self.directory}")
        return self._latest().dataset

    def _table(self) -> lance.LanceDataset:
        path = self.directory / self._settings["table"]
        try:
            return lance.dataset(str(path))
        except (ValueError, OSError) as error:
            raise DataError(
                f"the table {path} is missing or damaged: remove {self.directory} and index again"
            ) from error

    def _latest(self) -> Snapshot:
        """Return the table as it is now, with what earlier searches read into memory."""
        snapshot = self._snapshot
        if snapshot is None or not snapshot.is_latest:
            # Another run may have fused the images anew.
            self._settings = _read_settings(self.directory) or self._settings
            snapshot = self._snapshot = Snapshot(self._table(), self._made_of)
        return snapshot

    @property
    def _made_of(self) -> str:
        """What the fused vectors are, by which their index is known."""
        return json.dumps([self._settings.get(key) for key in ("fusion", "vectors", "regions")])

    def _fuse_anew(self, vectors: int) -> None:
        """Fuse the images that are there, where they were fused otherwise or not at all.

        What version 1 left out is added here.
        """
        wanted = {"fusion": self.model.fusion_name, "vectors": vectors, "version": VERSION}
        table = self._table()
        there = "fused" in table.schema.names
        if there and all(self._settings.get(key) == value for key, value in wanted.items()):
            return
        if there:
            table.drop_columns(["fused"])
        field = fused_field(self.model.encoder.width)

        @lance.batch_udf(output_schema=pa.schema([field]))
        def fuse(batch: pa.RecordBatch) -> pa.RecordBatch:
            boxes, counts = unpack(batch["boxes"])
            regions, _ = unpack(batch["regions"])
            ends = np.cumsum(counts)[:-1]
            parts = zip(np.split(boxes, ends), np.split(regions, ends), strict=True)
            seen = [ImageVectors(box, region.astype(np.float32)) for box, region in parts]
            fused = [self.model.fuse(each, vectors).astype(np.float16) for each in seen]
            return pa.RecordBatch.from_arrays([lists(fused).cast(field.type)], ["fused"])

        table.add_columns(fuse, read_columns=["boxes", "regions"])
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
        keep_fast(self._table(), self._made_of)
        return IndexReport(indexed, unchanged, tuple(skipped))

    def _commit(self, records: list[Record]) -> None:
        """Write records in one atomic step; a path that is there already is replaced."""
        rows = to_table(((_id(r.path), r) for r in records), self.model.encoder.width)
        table = self._table()
        rows = Storage.of(table).fit(rows)
        merge = table.merge_insert("path")
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


def _id(path: Path) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
