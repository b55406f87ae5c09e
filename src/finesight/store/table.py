"""The table of a collection's images: all that Lance does with it, for rooms that know no Lance.

Searches read it through a `Snapshot`, which keeps in memory what many of them need.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from finesight.errors import DataError
from finesight.queries.filters import NO_FILTERS, Filters
from finesight.store.conditions import condition, one_of, quoted
from finesight.store.schema import Record, table_schema, to_arrow, to_record
from finesight.store.storage import Storage

_IDS_AT_ONCE = 1000  # that a condition names
_BATCH = 256

# Each commit leaves a small file, and many small files make a table slow to read.
_FILES = 48
_ROWS_A_FILE = 8192
_KEPT = timedelta(minutes=10)  # far longer than a search takes


class ImageTable:
    """One version of a table of images, and the writes that make newer versions of it.

    What is read stays as it was when the table was opened. Each write is one commit, seen whole or
    not at all, on top of the newest version; `newest` opens what came of it. Conditions are in
    SQL; `where=None` means all rows.

    dataset: Lance's own view of it, for this room and its tests.
    """

    def __init__(self, dataset: lance.LanceDataset) -> None:
        self.dataset = dataset

    @staticmethod
    def open(path: Path) -> "ImageTable":
        """Open the newest version; raises DataError where it is missing or damaged."""
        try:
            return ImageTable(lance.dataset(str(path)))
        except (ValueError, OSError) as error:
            raise DataError(
                f"the table {path} is missing or damaged: remove {path.parent} and index again"
            ) from error

    @staticmethod
    def create(path: Path, width: int) -> "ImageTable":
        """Make an empty table for embeddings of width d, in the place of one that is there."""
        mode = "overwrite" if path.exists() else "create"
        empty = table_schema(width).empty_table()
        return ImageTable(lance.write_dataset(empty, str(path), mode=mode))

    def newest(self) -> "ImageTable":
        """Open the version that the last write left."""
        return ImageTable.open(self.path)

    @cached_property
    def path(self) -> Path:
        """The folder of the table."""
        return Path(self.dataset.uri)

    @property
    def version(self) -> int:
        """The number of this version; each commit counts one up."""
        return int(self.dataset.version)

    @property
    def is_newest(self) -> bool:
        """Whether nothing was written since."""
        return bool(self.dataset.latest_version == self.dataset.version)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns; older versions of finesight kept fewer."""
        return self.dataset.schema

    @cached_property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.schema.names)

    @cached_property
    def width(self) -> int:
        """The width d of the embeddings."""
        return int(self.schema.field("whole").type.list_size)

    @property
    def storage(self) -> Storage:
        """How the regions are kept."""
        return Storage.of(self.schema)

    def count(self, where: str | None = None) -> int:
        """Return how many images there are, or meet a condition."""
        return int(self.dataset.count_rows(filter=where))

    def condition(
        self,
        where: str | None = None,
        filters: Filters = NO_FILTERS,
        root: Callable[[], str] = lambda: "",
    ) -> str | None:
        """Return one condition of a filter in SQL and structured ones, as `conditions.condition`.

        It is tried on this table; raises InputError for what the table cannot answer.
        """
        return condition(self.schema, self.count, where, filters, root)

    def read(
        self,
        columns: list[str] | None = None,
        where: str | None = None,
        *,
        limit: int | None = None,
        offset: int | None = None,
        with_row_id: bool = False,
    ) -> pa.Table:
        """Return rows, in the table's order; with_row_id: with the column `_rowid`."""
        return self.dataset.to_table(columns, where, limit, offset, with_row_id=with_row_id)

    def batches(
        self,
        columns: list[str] | None = None,
        where: str | None = None,
        *,
        rows: int = _BATCH,
        with_row_id: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows as `read` returns them, at most `rows` at a time and never none."""
        scanned = self.dataset.to_batches(columns, where, batch_size=rows, with_row_id=with_row_id)
        return (batch for batch in scanned if batch.num_rows)

    def row_ids(self, where: str | None = None) -> np.ndarray:
        """Return the row ids (n,) of the images that meet a condition, as 64-bit numbers."""
        ids: np.ndarray = self.read([], where, with_row_id=True)["_rowid"].to_numpy()
        return ids

    def take(self, places: Sequence[int], columns: list[str] | None = None) -> pa.Table:
        """Return the rows at some places of the table's order, in the order of `places`.

        It takes half the time of rows that meet a condition.
        """
        return self.dataset.take(list(places), columns=columns)

    def find_content(self, sha256: str, regions_name: str) -> Record:
        """Return a row of these bytes with these regions; there must be one."""
        same = f"sha256 = {quoted(sha256)} AND looked = {quoted(regions_name)}"
        return to_record(self.read(where=same, limit=1))

    def insert(self, records: Sequence[Record]) -> None:
        """Add records, or replace the rows of their ids."""
        newest = self.newest()
        merge = newest.dataset.merge_insert("id")
        merge = merge.when_matched_update_all().when_not_matched_insert_all()
        merge.execute(newest.storage.fit(to_arrow(records, self.width)))

    def update(self, rows: Sequence[Mapping[str, Any]] | pa.RecordBatchReader) -> None:
        """Replace some columns of the rows that the column `id` names; each row has the same."""
        if not isinstance(rows, pa.RecordBatchReader):
            if not rows:
                return
            rows = pa.Table.from_pylist(rows, pa.schema(map(self.schema.field, rows[0])))
        merge = self.newest().dataset.merge_insert("id")
        merge.when_matched_update_all().execute(rows)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the rows of these ids."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            self.newest().dataset.delete(one_of("id", ids[start : start + _IDS_AT_ONCE]))

    def store_as(self, storage: Storage) -> None:
        """Keep the regions of all rows in another way; what was left out before stays left out."""
        newest = self.newest()
        schema = storage.schema(newest.schema)

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in newest.batches():
                fitted = storage.fit(pa.Table.from_batches([batch]))
                yield from fitted.cast(schema).to_batches()

        reader = pa.RecordBatchReader.from_batches(schema, batches())
        lance.write_dataset(reader, str(self.path), mode="overwrite")

    def tidy(self) -> None:
        """Join small files where there are many, and delete what only older versions hold.

        Readers keep the version that they opened; one that is younger than _KEPT stays whole.
        """
        newest = self.newest().dataset
        small = [f for f in newest.get_fragments() if f.count_rows() < _ROWS_A_FILE // 2]
        if len(small) > _FILES:
            newest.optimize.compact_files(target_rows_per_fragment=_ROWS_A_FILE, batch_size=64)
        newest.cleanup_old_versions(older_than=_KEPT, error_if_tagged_old_versions=False)
