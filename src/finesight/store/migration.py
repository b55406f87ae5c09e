"""Brings a table up to date: the columns of the newest version, the vectors of today's fusion."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from finesight.images.open import Header, ImageError, read_header
from finesight.store.schema import DETAILS, fused_field, lists, unpack
from finesight.store.table import ImageTable
from finesight.types import Float32, ImageVectors

Fuse = Callable[[ImageVectors], Float32]
"""From the regions of an image to its fused vectors (k, d)."""


def add_details(table: ImageTable) -> None:
    """Add the columns that version 3 brought, where a table lacks them.

    What unchanged files say of themselves is read from their headers; the rest stays empty.
    """
    missing = [field for field in DETAILS if field.name not in table.columns]
    if missing:
        table.dataset.add_columns(pa.schema(missing))
    schema = pa.schema([("id", pa.string()), DETAILS.field("taken"), DETAILS.field("camera")])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in table.batches(["id", "path", "size", "mtime_ns"]):
            headers = [(row["id"], _header(row)) for row in batch.to_pylist()]
            rows = [{"id": id_, "taken": h.taken, "camera": h.camera} for id_, h in headers if h]
            yield pa.RecordBatch.from_pylist(rows, schema=schema)

    table.update(pa.RecordBatchReader.from_batches(schema, batches()))


def _header(row: dict[str, Any]) -> Header | None:
    """Return the header of an image file if it is the one that was indexed."""
    path = Path(row["path"])
    # Where it cannot be read, the row stays; the next run reports what is wrong with the file.
    with contextlib.suppress(OSError, ImageError):
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (row["size"], row["mtime_ns"]):
            return read_header(path, sys.maxsize)
    return None


def fuse_again(table: ImageTable, fuse: Fuse) -> None:
    """Give every row the vectors of a fusion, in one commit: readers see the old or the new ones.

    fuse: from an image's regions to its vectors.
    """
    width = table.width
    schema = pa.schema([("id", pa.string()), fused_field(width)])
    if "fused" not in table.columns:  # version 1 kept none

        @lance.batch_udf(output_schema=pa.schema([schema.field("fused")]))
        def first(batch: pa.RecordBatch) -> pa.RecordBatch:
            return pa.RecordBatch.from_arrays([_fused(batch, fuse, width)], ["fused"])

        table.dataset.add_columns(first, read_columns=["boxes", "regions"])
        return

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in table.batches(["id", "boxes", "regions"]):
            columns = [batch["id"], _fused(batch, fuse, width)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    table.update(pa.RecordBatchReader.from_batches(schema, batches()))


def _fused(batch: pa.RecordBatch, fuse: Fuse, width: int) -> pa.Array:
    boxes, counts = unpack(batch["boxes"])
    regions, _ = unpack(batch["regions"])
    ends = np.cumsum(counts)[:-1]
    each = zip(np.split(boxes, ends), np.split(regions.astype(np.float32), ends), strict=True)
    fused = [fuse(ImageVectors(*seen)).astype(np.float16) for seen in each]
    return lists(fused).cast(fused_field(width).type)
