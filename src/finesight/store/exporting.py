"""Takes a collection along: as Arrow, Parquet and NumPy, for programs that know nothing of it."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from finesight.errors import InputError
from finesight.files import atomic
from finesight.store.schema import lists, unpack, unpack_stored
from finesight.store.table import ImageTable
from finesight.types import WHOLE

VECTORS = ("pooled", "regions", "global")
"""The vectors that can be exported: those an image is found by, of its regions, of the whole."""

_COLUMNS = {"pooled": "fused", "global": "whole"}  # which are the older names, and still work

ENDINGS = (".parquet", ".npz")


def read_rows(
    table: ImageTable, columns: Sequence[str] | None, where: str | None
) -> pa.RecordBatchReader:
    """Return images as Arrow, batch by batch; vectors come in float16 and of length 1.

    columns: all where not given. Raises InputError, with the columns there are, for another one.
    """
    there = table.columns
    wanted = list(columns) if columns is not None else there
    if unknown := [name for name in wanted if name not in there]:
        raise InputError(
            f"the collection has no column {', '.join(unknown)}: choose of {', '.join(there)}"
        )
    fields = [table.schema.field(name) for name in wanted]
    width = table.width  # regions are given out in float16: int8 is a matter of storage
    readable = pa.field("regions", pa.list_(pa.list_(pa.float16(), width)))
    schema = pa.schema([readable if field.name == "regions" else field for field in fields])
    convert = table.storage.kind == "int8"

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in table.batches(wanted, where):
            columns = {name: batch[name] for name in wanted}
            if convert and "regions" in columns:
                rows, counts = unpack(columns["regions"])
                columns["regions"] = lists(
                    np.split(rows.astype(np.float16), np.cumsum(counts)[:-1])
                )
            arrays = [columns[field.name].cast(field.type) for field in schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def export_vectors(
    table: ImageTable, out: Path, vectors: str, where: str | None = None
) -> tuple[int, int]:
    """Write one row per vector to a file, seen whole or not at all; returns (images, vectors).

    vectors: one of VECTORS. Parquet has the columns id, path, x0, y0, x1, y1 (where the vector
    belongs to a box) and vector; npz the arrays vectors (n, d) in float16, image (n,), boxes
    (n, 4), and ids and paths of the images that `image` counts. Raises InputError where the file
    cannot be written.
    """
    column = _COLUMNS.get(vectors, vectors)
    if column not in ("regions", *_COLUMNS.values()):
        raise InputError(f"export one of {', '.join(VECTORS)}, got {vectors!r}")
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"{out}: name a file that ends with {' or '.join(ENDINGS)}")
    if column not in table.columns:
        raise InputError(f"the collection has no {vectors} vectors yet: index its images again")
    write = _write_parquet if out.suffix.lower() == ".parquet" else _write_npz
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic(out) as unfinished:
            return write(table, unfinished, column, where)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error


def _parts(
    table: ImageTable, column: str, where: str | None
) -> Iterator[tuple[pa.RecordBatch, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield images with id and path, their counts (m,), vectors (n, d) and boxes (n, 4)."""
    with_boxes = column == "regions"
    for batch in table.batches(["id", "path", column] + ["boxes"] * with_boxes, where):
        rows, counts = unpack(batch[column])
        boxes = unpack(batch["boxes"])[0] if with_boxes else np.tile(WHOLE, (len(rows), 1))
        yield batch, counts, rows.astype(np.float16), boxes.astype(np.float32)


def _write_parquet(table: ImageTable, out: Path, column: str, where: str | None) -> tuple[int, int]:
    import pyarrow.parquet as pq  # only this needs it

    texts, edges = ("id", "path"), ("x0", "y0", "x1", "y1")
    columns = {name: pa.string() for name in texts} | {edge: pa.float32() for edge in edges}
    schema = pa.schema(columns | {"vector": pa.list_(pa.float32(), table.width)})
    images = total = 0
    with pq.ParquetWriter(out, schema) as writer:
        for batch, counts, rows, boxes in _parts(table, column, where):
            owners = np.repeat(np.arange(len(counts)), counts)
            flat = pa.array(rows.astype(np.float32).ravel())
            columns = {
                **{name: batch[name].take(pa.array(owners)) for name in texts},
                **dict(zip(edges, boxes.T, strict=True)),
                "vector": pa.FixedSizeListArray.from_arrays(flat, table.width),
            }
            writer.write_table(pa.table(columns, schema=schema))
            images, total = images + len(counts), total + len(rows)
    return images, total


def _write_npz(table: ImageTable, out: Path, column: str, where: str | None) -> tuple[int, int]:
    """Write the vectors as they are read: they may be more than the memory holds."""
    kept = table.batches([column], where)
    total = sum(len(unpack_stored(batch[column])[0]) for batch in kept)
    ids: list[str] = []
    paths: list[str] = []
    image, boxes = [np.zeros(0, np.int64)], [np.zeros((0, 4), np.float32)]
    with zipfile.ZipFile(out, "w") as archive:
        with archive.open("vectors.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": (total, table.width)}
            np.lib.format.write_array_header_1_0(file, header)
            for batch, counts, rows, places in _parts(table, column, where):
                file.write(rows.astype("<f2", copy=False).tobytes())
                image.append(np.repeat(np.arange(len(counts)) + len(ids), counts))
                boxes.append(places)
                ids += batch["id"].to_pylist()
                paths += batch["path"].to_pylist()
        arrays = {
            "image": np.concatenate(image),
            "boxes": np.concatenate(boxes),
            "ids": np.array(ids, str),
            "paths": np.array(paths, str),
        }
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return len(ids), total
