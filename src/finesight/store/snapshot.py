"""One version of a table, with what searches keep in memory of it."""

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finesight.errors import InputError
from finesight.queries.filters import NO_FILTERS, Filters
from finesight.scoring.similarity import normalise
from finesight.store.calibration import Calibrator
from finesight.store.schema import unpack_stored
from finesight.store.table import ImageTable
from finesight.store.vector_index import FlatVectors, IndexedVectors
from finesight.types import Float32

T = TypeVar("T")

Chosen = str | np.ndarray | None
"""Some images: those that meet a condition in SQL, those of row ids (n,), or all."""

_BATCH = 512  # rows read at a time: what bounds the memory of a search

FLAT = 50_000
"""So many fused vectors are held in memory and scanned; of more, an index is asked."""


class Snapshot:
    """One version of a table as searches read it, safe for several threads.

    table: the images; whatever is written meanwhile, they stay as they are. Rows are read from it
    with `read` and `batches`, counted with `count`; what is kept in memory comes from here.
    made_of: what its fused vectors are, by which their index is known; calibrator: calibrates its
    hits, where that is known.
    """

    def __init__(
        self, table: ImageTable, made_of: str = "", calibrator: Calibrator | None = None
    ) -> None:
        self.table = table
        self.made_of = made_of
        self.calibrator = calibrator
        self._making: dict[Hashable, threading.Lock] = defaultdict(threading.Lock)
        self._made: dict[Hashable, Any] = {}

    @cached_property
    def images(self) -> int:
        """The number of images."""
        return self.table.count()

    @cached_property
    def root(self) -> str:
        """The folder that all images share, below which people name their paths; "" for none."""
        ends = pc.min_max(self._rows[0]["path"]).as_py()  # what these two share, all share
        folders = [os.path.dirname(path) for path in ends.values() if path]  # noqa: PTH120
        return os.path.commonpath(folders) if folders else ""

    def condition(self, where: str | None = None, filters: Filters = NO_FILTERS) -> str | None:
        """Return one condition of a filter in SQL and structured ones; None where there is neither.

        Paths are meant below `root`. Raises InputError for what the table cannot answer.
        """
        return self.table.condition(where, filters, lambda: self.root)

    @cached_property
    def has_pooled(self) -> bool:
        """Whether pooled vectors are kept; the first version of collections had none."""
        return "fused" in self.table.columns

    @cached_property
    def vectors(self) -> int:
        """The number of fused vectors, as many for every image as the first one has."""
        first = self.table.read(["fused"], limit=1)
        return self.images * (len(first["fused"][0]) if first.num_rows else 0)

    def rows(self, row_ids: Sequence[int] | np.ndarray, columns: list[str]) -> pa.Table:
        """Read some images' rows, by their row ids and in the order of these.

        Rows that are taken by their places come in half the time of those that meet a condition.
        """
        return self.table.take(self._places(row_ids).tolist(), columns)

    def batches(
        self, columns: list[str], chosen: Chosen = None
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        """Yield the chosen images' rows with their row ids, some at a time and never none."""
        if isinstance(chosen, np.ndarray):
            for start in range(0, len(chosen), _BATCH):
                some = chosen[start : start + _BATCH]
                yield self.rows(some, columns).combine_chunks().to_batches()[0], some
            return
        for batch in self.table.batches(columns, chosen, rows=_BATCH, with_row_id=True):
            yield batch, batch["_rowid"].to_numpy()

    def whole(self, row_ids: Sequence[int] | np.ndarray) -> Float32:
        """Return the L2-normalised whole-image embeddings (n, d) of some images."""
        if not len(row_ids):
            return np.zeros((0, 1), np.float32)
        return normalise(unpack_stored(self.rows(row_ids, ["whole"])["whole"])[0])

    def row_id(self, path: Path) -> int:
        """Return the row id of an image: as its path is given, or made absolute."""
        facts, ids, _ = self._rows
        for each in dict.fromkeys((str(path), str(path.absolute()), str(path.resolve()))):
            if (place := pc.index(facts["path"], each).as_py()) >= 0:
                return int(ids[place])
        raise InputError(
            f"{path} is not in the collection: index it first, or give it as the query itself"
        )

    def paths(self, row_ids: np.ndarray) -> list[str]:
        """Return the paths of some images."""
        places = pa.array(self._places(row_ids))
        found: list[str] = self._rows[0]["path"].take(places).to_pylist()
        return found

    @cached_property
    def regions_per_image(self) -> float:
        """How many regions an image has, as the first ones have in the mean."""
        few = self.table.read(["regions"], limit=100)["regions"]
        return float(np.mean(few.combine_chunks().value_lengths())) if len(few) else 0.0

    def some_regions(self, most: int) -> pa.ListArray | None:
        """Return the regions of images spread evenly over the table, about `most` regions."""
        if not self.images:
            return None
        wanted = min(self.images, max(1, int(most / max(self.regions_per_image, 1.0))))
        rows = np.unique(np.linspace(0, self.images - 1, wanted).astype(int))
        return self.table.take(rows.tolist(), ["regions"])["regions"].combine_chunks()

    def facts(self, row_ids: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        """Return id, path, width and height of some images, in the order of their row ids."""
        return self._rows[0].take(pa.array(self._places(row_ids))).to_pylist()

    def _places(self, row_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        _, ids, order = self._rows
        return order[np.searchsorted(ids, np.asarray(row_ids, np.uint64), sorter=order)]

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made of this version before under a key, or make it now."""
        with self._making[key]:
            if key not in self._made:
                self._made[key] = make()
            found: T = self._made[key]
            return found

    @property
    def flat(self) -> FlatVectors | None:
        """The fused vectors in memory, read once; None where they are too many."""
        if self.vectors > FLAT:
            return None
        read = partial(self.table.read, ["fused"], with_row_id=True)
        return self.kept("flat", lambda: FlatVectors.of(read()))

    @property
    def indexed(self) -> IndexedVectors | None:
        """The index over the fused vectors, opened once; None where there is none."""
        most = FLAT // max(1, self.vectors // max(1, self.images))
        return self.kept("index", lambda: IndexedVectors.of(self.table, self.made_of, most))

    @property
    def _rows(self) -> tuple[pa.RecordBatch, np.ndarray, np.ndarray]:
        """The facts of all images, their row ids (n,), and what sorts these."""
        return self.kept("rows", self._read_rows)

    def _read_rows(self) -> tuple[pa.RecordBatch, np.ndarray, np.ndarray]:
        # Held in memory: each column that is read from disk costs a search half a millisecond.
        columns = ["id", "path", "width", "height"]
        rows = self.table.read(columns, with_row_id=True).combine_chunks()
        ids = rows["_rowid"].to_numpy()
        facts = rows.select(columns).to_struct_array().combine_chunks()
        return pa.RecordBatch.from_struct_array(facts), ids, np.argsort(ids, kind="stable")
