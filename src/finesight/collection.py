"""The collection on disk: the façade of indexing, store and search."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.models import Model, load_model
from finesight.queries import Filters, QueryInput, SearchRequest
from finesight.search.calibrate import keep_calibrated
from finesight.search.pipeline import search
from finesight.search.reader import Reader
from finesight.store.folder import CollectionFolder
from finesight.store.storage import Storage
from finesight.store.table import ImageTable
from finesight.types import Hit, Skipped

# What only writers need is imported where it is used: a search starts faster without.
if TYPE_CHECKING:
    import pyarrow as pa

    from finesight.indexing.duplicates import Duplicates
    from finesight.indexing.run import IndexReport
    from finesight.indexing.switching import SwitchReport
    from finesight.search.tune import Optimized

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


class Collection:
    """A folder with a Lance table of images and a small file that names it and its model.

    Open one with `Collection.open`; it is made by the first `add`.
    """

    def __init__(self, folder: CollectionFolder, model: Model | str | None) -> None:
        self._folder = folder
        self._reader = Reader(folder, model)

    @staticmethod
    def open(directory: Path | str, model: Model | str | None = None) -> "Collection":
        """Open the collection in a folder; a missing one is made when images are added.

        model: a model or its name; the collection's own where it is not given, else the default
        one for a new collection. Raises DataError for a damaged collection, InputError for one
        made with another model.
        """
        return Collection(CollectionFolder(Path(directory).expanduser()), model)

    @property
    def directory(self) -> Path:
        """The folder of the collection."""
        return self._folder.directory

    @property
    def exists(self) -> bool:
        """Whether anything was ever indexed here."""
        return self._folder.manifest is not None

    @property
    def model(self) -> Model:
        """The model whose embeddings the collection holds."""
        return self._reader.model

    @property
    def storage(self) -> Storage:
        """How the regions of the images are kept."""
        return self._folder.table().storage

    def __len__(self) -> int:
        """Return the number of images."""
        return self._folder.table().count() if self.exists else 0

    def add(
        self,
        paths: Iterable[Path | str],
        regions: str | None = None,
        progress: Progress = lambda done, total: None,
        vectors: int | None = None,
        **options: Any,
    ) -> "IndexReport":
        """Index the images of folders, files and archives; only what is new or changed.

        paths: also patterns such as "photos/**/*.jpg". progress: called with (images done, images
        in all). regions, vectors and the other options are those of `IndexOptions`, by their names.
        Where the number of vectors or the model's fusion changed, all images are fused again.
        Raises InputError where there is nothing to index, the folder cannot be written, or
        another run is writing to it.
        """
        from finesight.indexing.options import IndexOptions
        from finesight.indexing.run import index_images

        chosen = IndexOptions(regions, vectors, **options)
        after = partial(keep_calibrated, model=self.model)
        return index_images(self._folder, self.model, paths, chosen, progress, after)

    def remove(self, paths: Iterable[Path | str]) -> int:
        """Take images out of the collection, by file, folder, archive or pattern; return how many.

        Their files stay, and come back when they are indexed again. Raises InputError where
        nothing in the collection has such a path.
        """
        from finesight.indexing.removing import remove

        self._folder.need()
        return remove(self._folder, list(paths))

    def skipped(self) -> list[Skipped]:
        """Return the files that could not be indexed, and why."""
        self._folder.need()
        return self._folder.ledger().skipped()

    def duplicates(
        self, near: float | None = 0.98, progress: Progress = lambda done, total: None
    ) -> "list[Duplicates]":
        """Return groups of images of the same bytes, the same pixels, or alike embeddings.

        near: the least cosine of embeddings that are alike; None leaves these out.
        """
        from finesight.indexing.duplicates import find_duplicates

        return find_duplicates(self._folder.table(), near, progress)

    def switch(
        self,
        model: Model | str,
        progress: Progress = lambda done, total: None,
        without_missing: bool = False,
    ) -> "SwitchReport":
        """Index the collection's images with another model, then make it the active one.

        Searches go on with the old one until all is done; its vectors stay, and switching back
        encodes new and changed images alone. Interrupted, it goes on when it is called again.
        without_missing: also where files are not there any more, which then leave the
        collection; otherwise nothing is switched, and the report names them.
        """
        from finesight.indexing.switching import switch

        self._folder.need()
        other = load_model(model) if isinstance(model, str) else model
        after = partial(keep_calibrated, model=other)
        report = switch(self._folder, other, progress, without_missing, after)
        if report.switched:
            self._reader.switch_to(other)
        return report

    def forget(self, model: str) -> None:
        """Remove the vectors of a model that is not the active one; model: its source."""
        from finesight.indexing.switching import forget

        self._folder.need()
        forget(self._folder, model)

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
        return search(self._reader.searchable(), request)

    def optimize(
        self,
        texts: Sequence[str] | None = None,
        recall: float = 0.98,
        say: Callable[[str], None] = lambda message: None,
        storage: Storage | None = None,
    ) -> "Optimized":
        """Bring the indexes in step, tune them for texts, and measure what a search finds.

        storage: how regions are to be kept from now on; what it leaves out comes back only
        when the images are encoded again.

        texts: what to measure with; the captions, where there are any, else everyday words.
        recall: the share of the exact ten best by their fused vectors that the index is to find.
        say: is told of what may take minutes.
        """
        from finesight.search.tune import optimize

        return optimize(self._reader, texts, recall, say, storage)

    def read(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        path: str | None = None,
    ) -> "pa.RecordBatchReader":
        """Return the images as Arrow, batch by batch: paths, sizes, captions, boxes, vectors.

        columns: all where not given; boxes are lists of normalised xyxy, one per region. where and
        path: as in `search`. Raises InputError for a column or a condition that cannot be read.
        """
        from finesight.store.exporting import read_rows

        snapshot = self._reader.snapshot()
        where = snapshot.condition(where, Filters(path=path))
        return read_rows(snapshot.table, columns, where)

    def export_vectors(
        self,
        out: Path | str,
        vectors: str = "pooled",
        *,
        where: str | None = None,
        path: str | None = None,
    ) -> tuple[int, int]:
        """Write vectors to a .parquet or .npz file, one row per vector; returns (images, vectors).

        vectors: "pooled", "regions" or "global". where and path: as in `search`.
        """
        from finesight.store import exporting

        snapshot = self._reader.snapshot()
        where = snapshot.condition(where, Filters(path=path))
        return exporting.export_vectors(snapshot.table, Path(out).expanduser(), vectors, where)

    def status(self) -> dict[str, Any]:
        """Return what the collection holds: images, regions, model and format version."""
        manifest = self._folder.need()
        entry, files = manifest.active, self.directory.rglob("*")
        return {
            "collection": str(self.directory),
            "images": len(self),
            "skipped": len(self.skipped()),
            "regions": entry.regions,
            "fusion": entry.identity.fusion,
            "vectors": entry.vectors,
            "model": entry.source,
            "fingerprint": entry.identity.towers,
            "others": ", ".join(other.source for other in manifest.others) or None,
            "version": manifest.version,
            "bytes": sum(path.stat().st_size for path in files if path.is_file()),
        }

    def table(self) -> ImageTable:
        """Return the images as they stand: a version that later writes do not change."""
        return self._reader.snapshot().table
