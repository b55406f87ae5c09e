"""What a collection keeps of an image: one row of a Lance table per path."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from finesight.scoring.similarity import normalise
from finesight.types import Float32, ImageVectors

DETAILS = pa.schema(
    [
        ("pixels", pa.string()),
        ("taken", pa.timestamp("s")),
        ("camera", pa.string()),
        ("caption", pa.string()),
        ("metadata", pa.json_()),
    ]
)
"""The columns that came with version 3; each may be null."""


@dataclass(frozen=True)
class Record:
    """One indexed image.

    id: stays when the file moves; sha256: of the file's bytes; regions_name: the name of its
    regions, in the column `looked`;
    fused: the vectors (k, d) that stand for them all; pixels: a hash that images of the same
    pixels share, and others that the model sees alike; taken: the camera's local time; caption:
    words about the image; metadata: a JSON object.
    """

    id: str
    path: Path
    sha256: str
    size: int
    mtime_ns: int
    width: int
    height: int
    regions_name: str
    vectors: ImageVectors
    fused: Float32
    pixels: str | None = None
    taken: datetime | None = None
    camera: str | None = None
    caption: str | None = None
    metadata: str | None = None


_PLAIN = ("id", "sha256", "size", "mtime_ns", "width", "height", *DETAILS.names)


def table_schema(width: int) -> pa.Schema:
    """Return the columns for embeddings of width d, all in float16; region 0 is the whole."""
    vector = pa.list_(pa.float16(), width)
    columns = {
        **dict.fromkeys(("id", "path", "sha256"), pa.string()),
        **dict.fromkeys(("size", "mtime_ns"), pa.int64()),
        **dict.fromkeys(("width", "height"), pa.int32()),
        "looked": pa.string(),
        "whole": vector,
        "regions": pa.list_(vector),
        "boxes": pa.list_(pa.list_(pa.float32(), 4)),
        "fused": fused_field(width).type,
    }
    return pa.schema([*columns.items(), *DETAILS])


def fused_field(width: int) -> pa.Field:
    """Return the column of the fused vectors, as many as an image has."""
    return pa.field("fused", pa.list_(pa.list_(pa.float16(), width)))


def to_arrow(records: Sequence[Record], width: int) -> pa.Table:
    """Return records as an Arrow table of `table_schema(width)`."""
    schema = table_schema(width)
    vectors = [record.vectors for record in records]
    whole = np.stack([v.embeddings[0] for v in vectors]).astype(np.float16)
    columns = {name: [getattr(record, name) for record in records] for name in _PLAIN}
    columns |= {
        "path": [str(record.path) for record in records],
        "looked": [record.regions_name for record in records],
        "whole": pa.FixedSizeListArray.from_arrays(pa.array(whole.ravel()), width),
        "regions": lists([v.embeddings.astype(np.float16) for v in vectors]),
        "boxes": lists([v.boxes.astype(np.float32) for v in vectors]),
        "fused": lists([record.fused.astype(np.float16) for record in records]),
    }
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def to_record(rows: pa.Table) -> Record:
    """Return the first row of a table as a record."""
    row = rows.drop_columns(["whole", "regions", "boxes", "fused"]).to_pylist()[0]
    embeddings, boxes, fused = (unpack(rows[name])[0] for name in ("regions", "boxes", "fused"))
    row |= {"path": Path(row["path"]), "regions_name": row.pop("looked")}
    vectors = ImageVectors(boxes, embeddings.astype(np.float32))
    return Record(**row, vectors=vectors, fused=fused.astype(np.float32))


def lists(parts: list[np.ndarray]) -> pa.Array:
    """Return a column whose row i is the list of the rows of parts[i]."""
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int32)
    rows = np.concatenate(parts)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets), inner)


def unpack(column: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a column of vectors (sum of counts, d) and their counts (n,).

    A column has lists of them, or one per image, whose counts are 1. What is kept in
    int8 comes in float32, of length 1.
    """
    rows, counts = unpack_stored(column)
    return (normalise(rows) if rows.dtype == np.int8 else rows), counts


def unpack_stored(column: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and counts as `unpack`, without a copy, in the type in which they are kept."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_fixed_size_list(column.type):  # one vector per image
        inner, counts = column, np.ones(len(column), int)
    else:
        inner, counts = column.flatten(), np.diff(column.offsets.to_numpy())
    flat = inner.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(inner), inner.type.list_size), counts
