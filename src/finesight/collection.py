"""The collection on disk: which table is active, who may write, what it answers."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from finesight.errors import DataError, InputError
from finesight.images.open import MAX_PIXELS
from finesight.images.raw import SUFFIXES as RAW_SUFFIXES
from finesight.images.raw import need_rawpy
from finesight.indexing.fusing import fuse
from finesight.indexing.progress import shown_progress
from finesight.indexing.reports import IndexReport, SwitchReport
from finesight.models import DEFAULT, Model, load_model
from finesight.proposals import carried_over, parse_proposer, resolve_effort
from finesight.queries import Filters, QueryInput, SearchRequest
from finesight.search.calibrate import keep_calibrated
from finesight.search.encode import PooledSpace
from finesight.search.pipeline import Searchable, search
from finesight.store.calibration import calibration_file, load_calibrator
from finesight.store.manifest import (
    FORMAT,
    VERSION,
    activate,
    read_settings,
    write_settings,
)
from finesight.store.migration import add_details, fuse_again
from finesight.store.snapshot import Snapshot
from finesight.store.storage import Storage
from finesight.store.table import ImageTable
from finesight.types import Hit, Skipped

# What only writers need is imported where it is used: a search starts faster without.
if TYPE_CHECKING:
    import pyarrow as pa

    from finesight.indexing.adding import Way
    from finesight.indexing.duplicates import Duplicates
    from finesight.indexing.walking import Findings
    from finesight.search.tune import Optimized


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
        settings = read_settings(directory)
        loaded = load_model(model) if isinstance(model, str) else model
        if settings and loaded and loaded.fingerprint != settings["model"]["fingerprint"]:
            raise _other_model(directory, settings, loaded)
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
                "give the old version with --model DIR, or have the new one look at the images and "
                f"switch to it: {_switch(self.directory, model.source)}"
            )
        return model

    @property
    def storage(self) -> Storage:
        """How the regions of the images are kept."""
        self._need()
        return self._table().storage

    def __len__(self) -> int:
        """Return the number of images."""
        return self._table().count() if self.exists else 0

    def add(
        self,
        paths: Iterable[Path | str],
        regions: str | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        vectors: int | None = None,
        *,
        listed: bool = False,
        exclude: Sequence[str] = (),
        prune: bool = False,
        raw: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> IndexReport:
        """Index the images of folders, files and archives; only what is new or changed.

        paths: also patterns such as "photos/**/*.jpg"; listed: they come from a list, of which
        some may be gone. regions: a name for `parse_proposer`; the collection's, else the model's
        where not given. progress: called with (images done, images in all); vectors: k, how many
        fused vectors are kept of each image, the collection's, else the model's where not given;
        where they or the model's fusion changed, all images are fused anew. exclude: patterns as
        in `.finesightignore`; prune: remove images below the given folders that are not there any
        more; raw: look at the previews of raw files; max_pixels: larger images are skipped.
        Raises InputError where there is nothing to index, the folder cannot be written, or
        another run is writing to it.
        """
        from finesight.indexing.adding import Way
        from finesight.indexing.walking import find_images

        looked = regions or self._settings.get("regions") or self.model.regions
        looked = resolve_effort(looked, self.model.capabilities)
        parse_proposer(looked, self.model.capabilities)
        kept = vectors or self._settings.get("vectors") or self.model.vectors
        if kept < 1:
            raise InputError(f"keep at least one vector an image, got {kept}")
        if raw:
            need_rawpy()
        findings = find_images(paths, listed=listed, exclude=exclude, raw=raw)
        with self._writing():
            if not self.exists:
                self._create(looked, kept)
            self._bring_up_to_date(kept)
            # So that later runs go on in this way, and with what the model has besides its encoder.
            source = {**self._settings["model"], "source": self.model.source}
            if self._settings["regions"] != looked or self._settings["model"] != source:
                self._settings = {**self._settings, "regions": looked, "model": source}
                write_settings(self.directory, self._settings)
            way = Way(self.model, looked, kept, max_pixels, raw)
            with shown_progress(self.directory, progress) as shown:
                return self._add(findings, way, shown, prune)

    def _add(
        self,
        findings: "Findings",
        way: "Way",
        progress: Callable[[int, int], None],
        prune: bool,
    ) -> IndexReport:
        from finesight.indexing.adding import Adding
        from finesight.store.ledger import Ledger
        from finesight.store.upkeep import keep_fast

        adding = Adding(self._table(), Ledger(self.directory), way, progress)
        report = adding.run(findings, prune)
        if report.indexed or report.moved or report.removed:
            keep_fast(self._table(), self._made_of)
            keep_calibrated(Snapshot(self._table(), self._made_of), self.model, self.directory)
            self._table().tidy()
        return report

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the collection's lock and know its newest settings; raises InputError."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.directory / ".lock", timeout=0):
                self._settings = read_settings(self.directory)
                yield
        except filelock.Timeout as error:
            raise InputError(
                f"another run is indexing into {self.directory}: wait until it has ended"
            ) from error
        except OSError as error:
            raise InputError(
                f"cannot write to {self.directory}: {error.strerror or error}"
            ) from error

    def remove(self, paths: Iterable[Path | str]) -> int:
        """Take images out of the collection, by file, folder, archive or pattern; return how many.

        Their files stay, and come back when they are indexed again. Raises InputError where
        nothing in the collection has such a path.
        """
        from finesight.store.ledger import Ledger
        from finesight.store.removing import forget, remove_rows

        self._need()
        given = list(paths)
        with self._writing():
            tables = [self._table(entry["table"]) for entry in self._per_model()]
            counts = [remove_rows(table, given) for table in tables]
            forgotten = forget(Ledger(self.directory), given)
        if not (any(counts) or forgotten):
            names = ", ".join(map(str, given))
            raise InputError(f"{self.directory} holds no image of {names}")
        return counts[0]

    def skipped(self) -> list[Skipped]:
        """Return the files that could not be indexed, and why."""
        from finesight.store.ledger import Ledger

        self._need()
        return Ledger(self.directory).skipped()

    def duplicates(
        self,
        near: float | None = 0.98,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> "list[Duplicates]":
        """Return groups of images of the same bytes, the same pixels, or alike embeddings.

        near: the least cosine of embeddings that are alike; None leaves these out.
        """
        from finesight.indexing.duplicates import find_duplicates

        self._need()
        if near is not None and not 0 < near <= 1:
            raise InputError(f"near is a cosine above 0 and at most 1, got {near}")
        return find_duplicates(self._table(), near, progress)

    def switch(
        self,
        model: Model | str,
        progress: Callable[[int, int], None] = lambda done, total: None,
        without_missing: bool = False,
    ) -> SwitchReport:
        """Have another model look at the collection's images, then make it the active one.

        Searches go on with the old one until all is done; its vectors stay, and switching back
        looks at new and changed images alone. Interrupted, it goes on when it is called again.
        without_missing: also where files are not there any more, which then leave the
        collection; otherwise nothing is switched, and the report names them.
        """
        from finesight.indexing.adding import Way
        from finesight.indexing.switching import build_beside, rows_of
        from finesight.store.ledger import Ledger
        from finesight.store.upkeep import keep_fast

        self._need()
        other = load_model(model) if isinstance(model, str) else model
        with self._writing():
            if other.fingerprint == self._settings["model"]["fingerprint"]:
                raise InputError(f"{self.directory} already answers with {other.source}")
            target = self._beside(other)
            wanted = rows_of(self._table())
            raw = any(Path(path).suffix.lower() in RAW_SUFFIXES for path in wanted)
            way = Way(other, target["regions"], target["vectors"], sys.maxsize, raw)
            report, missing = build_beside(
                wanted, self._table(target["table"]), Ledger(self.directory), way, progress
            )
            keep_fast(self._table(target["table"]), _of_what(target))
            keep_calibrated(
                Snapshot(self._table(target["table"]), _of_what(target)), other, self.directory
            )
            self._table(target["table"]).tidy()
            switched = without_missing or not missing
            if switched:
                self._settings = activate(self._settings, other.fingerprint)
                write_settings(self.directory, self._settings)
                self._given = other
                self.__dict__.pop("model", None)
        return SwitchReport(report.indexed, tuple(map(Path, missing)), switched)

    def forget(self, model: str) -> None:
        """Remove the vectors of a model that is not the active one; model: its source."""
        from finesight.store.vector_index import index_path

        self._need()
        with self._writing():
            others = self._settings.get("others", {})
            found = [key for key, entry in others.items() if entry["model"]["source"] == model]
            if not found:
                names = ", ".join(entry["model"]["source"] for entry in others.values())
                raise InputError(
                    f"{self.directory} keeps no vectors of {model} beside the active model's"
                    + (f", but of {names}" if names else "")
                )
            gone = {key: others[key] for key in found}
            kept = {key: entry for key, entry in others.items() if key not in gone}
            self._settings = {**self._settings, "others": kept}
            write_settings(self.directory, self._settings)
            for entry in gone.values():
                shutil.rmtree(self.directory / entry["table"])
                index = index_path(self.directory / entry["table"])
                shutil.rmtree(index, ignore_errors=True)
                calibration_file(self.directory, entry["model"]["fingerprint"]).unlink(
                    missing_ok=True
                )

    def search(
        self,
        query: QueryInput | SearchRequest | None = None,
        k: int | None = None,
        rank_by: str | None = None,
        **options: Any,
    ) -> list[Hit]:
        """Return the images that answer a query best, best first.

        query: a text, encoded as typed; an image (a path, or pixels of Pillow); several of both
        with weights: a `Query`, such as `finesight.queries.parse_query` reads, or its parts; or a
        whole `SearchRequest`, which says what k, rank_by and the other options mean. Filters go by
        their names (path="2024/**"), too, and near=PATH asks for more like an indexed image.
        Raises InputError, with what to do, for whatever cannot be answered.
        """
        given = {"k": k, "rank_by": rank_by}
        options |= {name: value for name, value in given.items() if value is not None}
        request = SearchRequest.of(query, **options)
        self._need()
        return search(self._searchable(), request)

    def _searchable(self) -> Searchable:
        """Return the collection as a search meets it now."""
        snapshot = self._latest()
        return Searchable(
            self.directory,
            snapshot,
            lambda: self.model,
            self._settings["regions"],
            self._pooled_space(),
        )

    def _pooled_space(self) -> PooledSpace | None:
        """Return the space of the pooled vectors where it is not the encoder's own."""
        if not self._settings.get("own_space"):
            return None
        if self._settings["fusion"] != self.model.fusion_name or self.model.text_head is None:
            raise InputError(
                f"the pooled vectors in {self.directory} are of the fusion "
                f"{self._settings['fusion']}, which {self.model.source} does not have: leave "
                "--model out, or index the images again, which fuses them again"
            )
        return PooledSpace(self.model.text_head, self.model.fusion)

    def optimize(
        self,
        texts: Sequence[str] | None = None,
        recall: float = 0.98,
        say: Callable[[str], None] = lambda message: None,
        storage: Storage | None = None,
    ) -> "Optimized":
        """Bring the indexes in step, tune them for texts, and measure what a search finds.

        storage: how regions are to be kept from now on; those that are there are kept anew, and
        what is left out of them comes back only when the images are looked at again.

        texts: what to measure with; the captions, where there are any, else everyday words.
        recall: the share of the exact ten best by their fused vectors that the index is to find.
        say: is told of what may take minutes.
        """
        from finesight.search.tune import tune_and_measure
        from finesight.store.upkeep import keep_fast

        if not self.exists or not len(self):
            raise InputError(f"there is nothing to optimize in {self.directory}: index images")
        with self._writing():
            if storage is not None and storage != self.storage:
                say(f"keeping the regions of {len(self):,} images anew")
                self._table().store_as(storage)
            keep_fast(self._table(), self._made_of, say)
            self._table().tidy()
            keep_calibrated(
                Snapshot(self._table(), self._made_of), self.model, self.directory, force=True
            )

            def reopen() -> Searchable:
                self._snapshot = None
                return self._searchable()

            return tune_and_measure(reopen, texts, recall, say)

    def read(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        path: str | None = None,
    ) -> "pa.RecordBatchReader":
        """Return the images as Arrow, batch by batch: paths, sizes, captions, boxes, vectors.

        columns: all where not given; boxes are lists of normalised xyxy, one a region. where and
        path: as in `search`. Raises InputError for a column or a condition that cannot be read.
        """
        from finesight.store.exporting import read_rows

        self._need()
        table = self._table()
        return read_rows(table, columns, self._latest().condition(where, Filters(path=path)))

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
        from finesight.store import exporting

        self._need()
        table = self._table()
        file = Path(out).expanduser()
        allowed = self._latest().condition(where, Filters(path=path))
        return exporting.export_vectors(table, file, vectors, allowed)

    def status(self) -> dict[str, Any]:
        """Return what the collection holds: images, regions, model and format version."""
        self._need()
        others = [entry["model"]["source"] for entry in self._per_model()[1:]]
        return {
            "collection": str(self.directory),
            "images": len(self),
            "skipped": len(self.skipped()),
            "regions": self._settings["regions"],
            "fusion": self._settings.get("fusion"),
            "vectors": self._settings.get("vectors"),
            "model": self._settings["model"]["source"],
            "fingerprint": self._settings["model"]["fingerprint"],
            "others": ", ".join(others) or None,
            "version": self._settings["version"],
            "bytes": sum(p.stat().st_size for p in self.directory.rglob("*") if p.is_file()),
        }

    def _need(self) -> None:
        if not self.exists:
            raise InputError(
                f"there is no collection in {self.directory}: make one with "
                f"`finesight index FOLDER --collection {self.directory}`"
            )

    def _per_model(self) -> list[dict[str, Any]]:
        """Return what the settings say of each model's table, the active one's first."""
        return [self._settings, *self._settings.get("others", {}).values()]

    def table(self) -> ImageTable:
        """Return the images as they stand: a version that later writes do not change."""
        self._need()
        return self._latest().table

    def _table(self, name: str | None = None) -> ImageTable:
        """Open the newest version of the active table, or of another one."""
        return ImageTable.open(self.directory / (name or self._settings["table"]))

    def _latest(self) -> Snapshot:
        """Return the table as it is now, with what earlier searches read into memory."""
        settings = read_settings(self.directory) or self._settings
        if settings != self._settings:  # another run fused the images anew, or switched
            if settings["model"] != self._settings["model"]:
                if self._given is not None:
                    raise _other_model(self.directory, settings, self._given)
                self.__dict__.pop("model", None)
            self._settings, self._snapshot = settings, None
        if self._snapshot is None or not self._snapshot.table.is_newest:
            calibrator = load_calibrator(calibration_file(self.directory, self._fingerprint))
            self._snapshot = Snapshot(self._table(), self._made_of, calibrator)
        return self._snapshot

    @property
    def _fingerprint(self) -> str:
        return str(self._settings["model"]["fingerprint"])

    @property
    def _made_of(self) -> str:
        return _of_what(self._settings)

    def _bring_up_to_date(self, vectors: int) -> None:
        """Add the columns of newer versions; fuse anew what was fused otherwise or not at all."""
        wanted = {"fusion": self.model.fusion_name, "vectors": vectors, "version": VERSION}
        wanted["own_space"] = self.model.text_head is not None
        table = self._table()
        there = "fused" in table.columns
        if there and all(self._settings.get(key) == value for key, value in wanted.items()):
            return
        if self._settings["version"] < VERSION:
            add_details(table)
        fusion = (self._settings.get("fusion"), self._settings.get("vectors"))
        if not there or fusion != (self.model.fusion_name, vectors):
            fuse_again(
                self._table(),
                lambda seen: fuse(self.model, seen, vectors),
                self.model.encoder.width,
            )
        self._settings = {**self._settings, **wanted}
        write_settings(self.directory, self._settings)

    def _create(self, regions: str, vectors: int) -> None:
        """Make an empty table and, last, the file that names it."""
        entry = self._new_table(self.model, regions, vectors)
        self._settings = {"format": FORMAT, "version": VERSION, **entry}
        write_settings(self.directory, self._settings)

    def _beside(self, model: Model) -> dict[str, Any]:
        """Return what the settings say of another model's table, made if there is none."""
        others = self._settings.get("others", {})
        entry = others.get(model.fingerprint)
        if entry is None or entry["fusion"] != model.fusion_name:
            regions, vectors = self._settings["regions"], self._settings.get("vectors")
            regions = carried_over(regions, model.capabilities)
            entry = self._new_table(model, regions, vectors or model.vectors)
            others = {**others, model.fingerprint: entry}
            self._settings = {**self._settings, "others": others}
            write_settings(self.directory, self._settings)
        return entry

    def _new_table(self, model: Model, regions: str, vectors: int) -> dict[str, Any]:
        """Make an empty table for a model; return what the settings are to say of it."""
        name = f"images-{model.fingerprint}.lance"
        # A table without a file that names it is what a killed first run left behind.
        ImageTable.create(self.directory / name, model.encoder.width)
        return {
            "table": name,
            "regions": regions,
            "model": {"source": model.source, "fingerprint": model.fingerprint},
            "fusion": model.fusion_name,
            "vectors": vectors,
            "own_space": model.text_head is not None,
        }


def _of_what(settings: dict[str, Any]) -> str:
    """What the fused vectors of a table are, by which their index is known."""
    return json.dumps([settings.get(key) for key in ("fusion", "vectors", "regions")])


def _switch(directory: Path, source: str) -> str:
    """Return the command that makes a model the active one."""
    return f"finesight switch {source} --collection {directory}"


def _other_model(directory: Path, settings: dict[str, Any], given: Model) -> InputError:
    """Return why a collection does not answer with a model, and the command that mends it."""
    return InputError(
        f"{directory} was made with the model {settings['model']['source']}, and {given.source} is "
        "another: leave --model out, or have it look at the images too and switch to it: "
        + _switch(directory, given.source)
    )
