"""What a collection keeps of an image: one row of a Lance table a path."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from finesight.scoring import normalise
from finesight.types import Float32, ImageVectors


@dataclass(frozen=True)
class Record:
    """One looked-at image.

    sha256: of the file's bytes; looked: the name of the regions; fused: the vectors (k, d) that
    stand for them all.
    """

    path: Path
    sha256: str
    size: int
    mtime_ns: int
    width: int
    height: int
    looked: str
    vectors: ImageVectors
    fused: Float32


def table_schema(width: int) -> pa.Schema:
    """Return the columns for embeddings of width d, all in float16; region 0 is the whole."""
    return pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("path", pa.string()),
            pa.field("sha256", pa.string()),
            pa.field("size", pa.int64()),
            pa.field("mtime_ns", pa.int64()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("looked", pa.string()),
            pa.field("whole", pa.list_(pa.float16(), width)),
            pa.field("regions", pa.list_(pa.list_(pa.float16(), width))),
            pa.field("boxes", pa.list_(pa.list_(pa.float32(), 4))),
            fused_field(width),
        ]
    )


def fused_field(width: int) -> pa.Field:
    """Return the column of the fused vectors, as many as an image has."""
    return pa.field("fused", pa.list_(pa.list_(pa.float16(), width)))


def to_table(records: Iterable[tuple[str, Record]], width: int) -> pa.Table:
    """Return rows (id, record) as an Arrow table of `table_schema(width)`."""
    rows = list(records)
    schema = table_schema(width)
    vectors = [record.vectors for _, record in rows]
    whole = np.stack([v.embeddings[0] for v in vectors]).astype(np.float16)
    plain = {
        name: [getattr(record, name) for _, record in rows]
        for name in ("sha256", "size", "mtime_ns", "width", "height", "looked")
    }
    columns = {
        "id": [id_ for id_, _ in rows],
        "path": [str(record.path) for _, record in rows],
        **plain,
        "whole": pa.FixedSizeListArray.from_arrays(pa.array(whole.ravel()), width),
        "regions": lists([v.embeddings.astype(np.float16) for v in vectors]),
        "boxes": lists([v.boxes.astype(np.float32) for v in vectors]),
        "fused": lists([record.fused.astype(np.float16) for _, record in rows]),
    }
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def lists(parts: list[np.ndarray]) -> pa.Array:
    """Return a column whose row i is the list of the rows of parts[i]."""
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int32)
    rows = np.concatenate(parts)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets), inner)


def unpack(column: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a list column (sum of counts, d) and their counts (n,).

    What is kept in int8 comes in float32, of length 1.
    """
    rows, counts = unpack_stored(column)
    return (normalise(rows) if rows.dtype == np.int8 else rows), counts


def unpack_stored(column: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and counts as `unpack`, without a copy, in the type in which they are kept."""
    offsets = column.offsets.to_numpy()
    inner = column.flatten()
    flat = inner.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(inner), inner.type.list_size), np.diff(offsets)


def unpack_whole(column: pa.FixedSizeListArray) -> np.ndarray:
    """Return the vectors (n, d) of a column with one an image."""
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), column.type.list_size)


def rows_condition(row_ids: Iterable[int]) -> str:
    """Return the SQL condition that a row is one of some; Lance reads no others."""
    ids = ", ".join(str(int(each)) for each in row_ids)
    return f"_rowid IN ({ids})" if ids else "false"
