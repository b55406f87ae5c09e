"""Reads and writes rows of the table of images; each write is one commit, seen whole or not."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from finesight.store.schema import Record, to_table, unpack
from finesight.store.storage import Storage
from finesight.types import ImageVectors

_AT_ONCE = 1000  # ids a filter names

# Each commit leaves a small file, and many small files make a table slow to read.
_FILES = 48
_ROWS_A_FILE = 8192
_KEPT = timedelta(minutes=10)  # far longer than a search takes


def insert_rows(table: lance.LanceDataset, records: Sequence[Record], width: int) -> None:
    """Add records, or replace the rows of their ids; width: the embeddings' d."""
    merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
    merge.execute(Storage.of(table).fit(to_table(records, width)))


def update_rows(table: lance.LanceDataset, columns: pa.Table) -> None:
    """Replace some columns of the rows that `columns` names by id."""
    if columns.num_rows:
        table.merge_insert("id").when_matched_update_all().execute(columns)


def delete_rows(table: lance.LanceDataset, ids: Sequence[str]) -> None:
    """Remove the rows of these ids."""
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        table.delete("id IN ({})".format(", ".join(f"'{id_}'" for id_ in part)))


def find_content(table: lance.LanceDataset, digest: str, looked: str) -> Record:
    """Return a row of these bytes (sha256) that was looked at in this way; there must be one."""
    found = f"sha256 = '{digest}' AND looked = '{looked}'"
    return to_record(table.to_table(filter=found, limit=1))


def to_record(rows: pa.Table) -> Record:
    """Return the first row of a table as a record."""
    row = rows.drop_columns(["whole", "regions", "boxes", "fused"]).to_pylist()[0]
    embeddings, boxes, fused = (
        unpack(rows[name].combine_chunks())[0] for name in ("regions", "boxes", "fused")
    )
    row["path"] = Path(row["path"])
    vectors = ImageVectors(boxes, embeddings.astype(np.float32))
    return Record(**row, vectors=vectors, fused=fused.astype(np.float32))


def tidy(table: lance.LanceDataset) -> None:
    """Join small files where there are many, and delete what only older versions hold.

    Readers keep the version that they opened; one that is younger than _KEPT stays whole.
    """
    small = [f for f in table.get_fragments() if f.count_rows() < _ROWS_A_FILE // 2]
    if len(small) > _FILES:
        table.optimize.compact_files(target_rows_per_fragment=_ROWS_A_FILE, batch_size=64)
    table.cleanup_old_versions(older_than=_KEPT, error_if_tagged_old_versions=False)
