"""Takes a collection along: as Arrow, Parquet and NumPy, for programs that know nothing of it."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from finesight.errors import InputError
from finesight.files import atomic
from finesight.store.schema import lists, unpack, unpack_whole
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
    fields = [_readable(table.schema.field(name)) for name in wanted]
    schema = pa.schema(fields)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in table.batches(wanted, where):
            arrays = [_read(batch[field.name]).cast(field.type) for field in fields]
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


def _readable(field: pa.Field) -> pa.Field:
    """Return the field of a column as it is given out: int8 is a matter of storage."""
    if field.name != "regions":
        return field
    return pa.field("regions", pa.list_(pa.list_(pa.float16(), field.type.value_type.list_size)))


def _read(column: pa.Array) -> pa.Array:
    if not pa.types.is_list(column.type) or not pa.types.is_fixed_size_list(column.type.value_type):
        return column
    if column.type.value_type.value_type != pa.int8():
        return column
    rows, counts = unpack(column)
    return lists(np.split(rows.astype(np.float16), np.cumsum(counts)[:-1]))


def _parts(
    table: ImageTable, column: str, where: str | None
) -> Iterator[tuple[list[str], list[str], np.ndarray, np.ndarray, np.ndarray]]:
    """Yield ids, paths and counts of images (m,), and vectors (n, d) and boxes (n, 4) of these."""
    columns = ["id", "path", column, *(["boxes"] if column == "regions" else [])]
    for batch in table.batches(columns, where):
        if column == "whole":
            rows, counts = unpack_whole(batch["whole"]), np.ones(batch.num_rows, int)
        else:
            rows, counts = unpack(batch[column])
        boxes = np.tile(WHOLE, (len(rows), 1))
        if column == "regions":
            boxes, _ = unpack(batch["boxes"])
        ids, paths = batch["id"].to_pylist(), batch["path"].to_pylist()
        yield ids, paths, counts, rows.astype(np.float16), boxes.astype(np.float32)


def _write_parquet(table: ImageTable, out: Path, column: str, where: str | None) -> tuple[int, int]:
    import pyarrow.parquet as pq  # only this needs it

    edges = ("x0", "y0", "x1", "y1")
    schema = pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("path", pa.string()),
            *(pa.field(edge, pa.float32()) for edge in edges),
            pa.field("vector", pa.list_(pa.float32(), table.width)),
        ]
    )
    images = total = 0
    with pq.ParquetWriter(out, schema) as writer:
        for ids, paths, counts, rows, boxes in _parts(table, column, where):
            flat = pa.array(rows.astype(np.float32).ravel())
            columns = {
                "id": np.repeat(np.array(ids, object), counts),
                "path": np.repeat(np.array(paths, object), counts),
                **dict(zip(edges, boxes.T, strict=True)),
                "vector": pa.FixedSizeListArray.from_arrays(flat, table.width),
            }
            writer.write_table(pa.table(columns, schema=schema))
            images, total = images + len(ids), total + len(rows)
    return images, total


def _write_npz(table: ImageTable, out: Path, column: str, where: str | None) -> tuple[int, int]:
    """Write the vectors as they are read: they may be more than the memory holds."""
    kept = table.batches([column], where)
    single = column == "whole"
    total = sum(batch.num_rows if single else len(batch[column].flatten()) for batch in kept)
    ids: list[str] = []
    paths: list[str] = []
    image, boxes = [np.zeros(0, np.int64)], [np.zeros((0, 4), np.float32)]
    with zipfile.ZipFile(out, "w") as archive:
        with archive.open("vectors.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": (total, table.width)}
            np.lib.format.write_array_header_1_0(file, header)
            for new_ids, new_paths, counts, rows, places in _parts(table, column, where):
                file.write(np.ascontiguousarray(rows).astype("<f2", copy=False).tobytes())
                image.append(np.repeat(np.arange(len(new_ids)) + len(ids), counts))
                boxes.append(places)
                ids += new_ids
                paths += new_paths
        small = {"image": np.concatenate(image), "boxes": np.concatenate(boxes)}
        texts = {"ids": np.array(ids, str), "paths": np.array(paths, str)}
        for name, array in {**small, **texts}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return len(ids), total
