"""The fused vectors as searches ask them: in memory, or behind Lance's index.

The index lies over a table of its own, with one vector per row. It is made from the images' table
and can be thrown away: whatever it lacks, a search scans, and what it has too much, a search leaves
out. So readers need no lock, and a killed run costs nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute

from finesight.scoring.similarity import cosines, highest_over_regions, normalise
from finesight.store.conditions import one_of
from finesight.store.schema import unpack, unpack_stored
from finesight.store.table import ImageTable
from finesight.types import Float32

PARTITIONS_ASKED = "finesight.partitions_asked"
"""How many partitions a search looks into, in the table's configuration."""

_BITS = 3  # a dimension: 4 bits find no more among 200 candidates, 1 bit finds less
_ASKED = 0.3  # of the partitions, until it is tuned
_STALE = 0.1  # of the rows may be unknown to the index before it takes them in
_BATCH = 4096


@dataclass(frozen=True)
class FlatVectors:
    """The fused vectors of some images, as they are stored (sum of counts, d).

    counts, row_ids: (n,), of the images one after another.
    """

    vectors: np.ndarray
    counts: np.ndarray
    row_ids: np.ndarray

    def only(self, kept: np.ndarray) -> "FlatVectors":
        """Return those of some images, which a mask (n,) names."""
        rows = np.repeat(kept, self.counts)
        return FlatVectors(self.vectors[rows], self.counts[kept], self.row_ids[kept])

    @staticmethod
    def of(rows: pa.RecordBatch | pa.Table) -> "FlatVectors":
        """Return those of rows with the columns `fused` and `_rowid`."""
        return FlatVectors(*unpack_stored(rows["fused"]), rows["_rowid"].to_numpy())

    def scores(self, queries: Float32) -> Float32:
        """Return the best cosine of each image with each query, (m, n)."""
        return highest_over_regions(cosines(queries, self.vectors), self.counts)


@dataclass(frozen=True)
class IndexedVectors:
    """The fused vectors behind Lance's index, and those that it lacks.

    vectors: the table of them; row_ids: theirs (m,), ascending; images: the row ids of their images
    (m,); known: which images are still as they were (m,) bool. rest: the vectors of images that
    have none there, which a search scans; asked: how many partitions a search looks into.
    """

    vectors: lance.LanceDataset
    row_ids: np.ndarray
    images: np.ndarray
    known: np.ndarray
    rest: FlatVectors
    asked: int

    @staticmethod
    def of(table: ImageTable, made_of: str, most: int) -> "IndexedVectors | None":
        """Open a table's index; None where there is none, or it lacks more than `most` images."""
        vectors, (keys, row_ids) = _open(table, made_of), _image_keys(table)
        if vectors is None or not len(keys):
            return None
        there = vectors.to_table(["image", "stamp"], with_row_id=True).sort_by("_rowid")
        indexed = _pairs(there["image"].to_numpy(), there["stamp"].to_numpy())
        places = np.minimum(np.searchsorted(keys["id"], indexed["id"]), len(keys) - 1)
        known = keys[places] == indexed
        lacking = np.delete(row_ids, places[known])
        if len(lacking) > most:
            return None
        rest = table.read(["fused"], one_of("_rowid", lacking.tolist()), with_row_id=True)
        tuned = vectors.config().get(PARTITIONS_ASKED)
        asked = int(tuned) if tuned else max(1, round(_ASKED * partitions_of(len(there))))
        of_rows = there["_rowid"].to_numpy(), row_ids[places], known
        return IndexedVectors(vectors, *of_rows, FlatVectors.of(rest), asked)

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return partitions_of(self.vectors.count_rows())

    def nearest(self, query: Float32, count: int, asked: int | None = None) -> np.ndarray:
        """Return the row ids of the images of the `count` nearest vectors, roughly, in order.

        asked: look into so many partitions, instead of as many as was set.
        """
        asked = asked or self.asked
        found = self.vectors.to_table(
            columns=["_distance"],  # whatever else is read costs a search a millisecond
            nearest={"column": "vector", "q": query, "k": count, "nprobes": asked},
            with_row_id=True,
        )
        places = np.searchsorted(self.row_ids, found["_rowid"].to_numpy())
        images = self.images[places[self.known[places]]]
        _, first = np.unique(images, return_index=True)
        return images[np.sort(first)]

    def ask(self, partitions: int) -> None:
        """Have later searches look into so many partitions."""
        self.vectors.update_config({PARTITIONS_ASKED: str(partitions)})


def index_path(table: Path) -> Path:
    """Return where the vectors of an images' table are."""
    return table.with_name(table.name.replace("images-", "vectors-", 1))


def _image_keys(table: ImageTable) -> tuple[np.ndarray, np.ndarray]:
    """Return id and content of all images as pairs (n,), sorted by id, and their row ids (n,)."""
    rows = table.read(["id", "sha256"], with_row_id=True)
    pairs = _pairs(hex_numbers(rows["id"]), hex_numbers(rows["sha256"]))
    order = np.argsort(pairs["id"])
    return pairs[order], rows["_rowid"].to_numpy()[order]


def hex_numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return the first 16 hex digits of each text (n,) as 64-bit numbers."""
    cut = pa.compute.utf8_slice_codeunits(column, 0, 16)
    whole = cut.combine_chunks() if isinstance(cut, pa.ChunkedArray) else cut
    data = whole.buffers()[2]
    digits = np.frombuffer(data, np.uint8, 16 * len(whole)) if len(whole) else np.zeros(0, np.uint8)
    values = (digits & 0x0F) + 9 * (digits >> 6)  # '0' is 0x30, 'a' is 0x61
    pairs = values.reshape(-1, 2)
    return (pairs[:, 0] << 4 | pairs[:, 1]).view(">u8").astype(np.uint64)


def _pairs(ids: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    return np.stack([ids, stamps], axis=1).view([("id", "u8"), ("stamp", "u8")]).ravel()


def _open(table: ImageTable, made_of: str) -> lance.LanceDataset | None:
    """Open the vectors of a table; None where there are none, or none of this fusion.

    made_of: what the vectors are, which has to be the same for all.
    """
    try:
        found = lance.dataset(str(index_path(table.path)))
    except (ValueError, OSError):
        return None
    known = (found.schema.metadata or {}).get(b"made_of", b"").decode()
    return found if known == made_of and found.describe_indices() else None


def keep_up(table: ImageTable, made_of: str) -> None:
    """Bring the vectors and their index in step with the images' table.

    New images' vectors are added and those of images that left or changed deleted; the index is
    made where there is none, and takes in what is new when that is more than a tenth.
    """
    vectors = _open(table, made_of)
    if vectors is None:
        _write(table, made_of, None)
    else:
        pairs, row_ids = _image_keys(table)
        there = vectors.to_table(columns=["image", "stamp"])
        kept = np.unique(_pairs(there["image"].to_numpy(), there["stamp"].to_numpy()))
        gone = kept["id"][~np.isin(kept, pairs)]
        for start in range(0, len(gone), 1000):
            vectors.delete(one_of("image", gone[start : start + 1000].tolist()))
        # Where an image changed, its old vectors were deleted by its id.
        new = row_ids[~np.isin(pairs, kept)]
        if len(new):
            _write(table, made_of, new)
    vectors = lance.dataset(str(index_path(table.path)))
    rows, indexes = vectors.count_rows(), vectors.describe_indices()
    if not indexes:
        partitions = partitions_of(rows)
        vectors.create_index(
            "vector", "IVF_RQ", metric="dot", num_partitions=partitions, num_bits=_BITS
        )
    elif rows - sum(index.num_rows_indexed for index in indexes) > _STALE * rows:
        vectors.optimize.optimize_indices()


def _write(table: ImageTable, made_of: str, rows: np.ndarray | None) -> None:
    """Write the vectors of some images behind the others, or of all images in place of them."""
    number, vector = pa.uint64(), pa.list_(pa.float16(), table.width)
    columns = [("image", number), ("stamp", number), ("vector", vector)]
    schema = pa.schema(columns, metadata={"made_of": made_of})
    path = index_path(table.path)
    mode = "append" if rows is not None else "overwrite" if path.exists() else "create"
    parts = [None] if rows is None else np.array_split(rows, -(-len(rows) // _BATCH))

    def batches() -> Iterator[pa.RecordBatch]:
        for part in parts:
            chosen = None if part is None else one_of("_rowid", part.tolist())
            for batch in table.batches(["id", "sha256", "fused"], chosen, rows=_BATCH):
                found, counts = unpack(batch["fused"])
                flat = pa.array(normalise(found).astype(np.float16).ravel())
                keys = [np.repeat(hex_numbers(batch[name]), counts) for name in ("id", "sha256")]
                vectors = pa.FixedSizeListArray.from_arrays(flat, table.width)
                yield pa.record_batch([*keys, vectors], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    lance.write_dataset(reader, str(path), mode=mode)


def partitions_of(rows: int) -> int:
    """Return into how many partitions so many vectors are sorted."""
    return max(1, round(rows**0.5))
