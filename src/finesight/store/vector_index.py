"""A table of its own for the fused vectors, one per row, with Lance's index over them.

It is made from the images' table and can be thrown away: whatever it lacks, a search scans, and
what it has too much, a search leaves out. So readers need no lock, and a killed run costs nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute

from finesight.scoring.similarity import normalise
from finesight.store.conditions import one_of
from finesight.store.schema import unpack
from finesight.store.table import ImageTable
from finesight.types import Float32

PARTITIONS_ASKED = "finesight.partitions_asked"
"""How many partitions a search looks into, in the table's configuration."""

_BITS = 3  # a dimension: 4 bits find no more among 200 candidates, 1 bit finds less
_ASKED = 0.3  # of the partitions, until it is tuned
_STALE = 0.1  # of the rows may be unknown to the index before it takes them in
_BATCH = 4096


@dataclass(frozen=True)
class Keys:
    """What tells the images of a table apart: id and content, (n,) each, as 64-bit numbers."""

    ids: np.ndarray
    stamps: np.ndarray
    row_ids: np.ndarray

    def pairs(self) -> np.ndarray:
        """Return id and stamp of each image as one value (n,)."""
        return _pairs(self.ids, self.stamps)

    def places(self, pairs: np.ndarray) -> np.ndarray:
        """Return where the images of pairs (m,) are among these; -1 for those that are not there.

        The keys have to be sorted by id.
        """
        if not len(self.ids):
            return np.full(len(pairs), -1)
        place = np.minimum(np.searchsorted(self.ids, pairs["id"]), len(self.ids) - 1)
        same = (self.ids[place] == pairs["id"]) & (self.stamps[place] == pairs["stamp"])
        return np.where(same, place, -1)


@dataclass(frozen=True)
class Owners:
    """Whose the vectors of an index are.

    vectors: their row ids (m,), ascending; images: the row ids of their images (m,); known: which
    of them are still as they were (m,) bool.
    """

    vectors: np.ndarray
    images: np.ndarray
    known: np.ndarray

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """Return the row ids of the images of vectors, by these' row ids, once each, in order."""
        place = np.searchsorted(self.vectors, vectors)
        images = self.images[place[self.known[place]]]
        _, first = np.unique(images, return_index=True)
        return images[np.sort(first)]


def index_path(table: Path) -> Path:
    """Return where the vectors of an images' table are."""
    return table.with_name(table.name.replace("images-", "vectors-", 1))


def image_keys(table: ImageTable) -> Keys:
    """Read the keys of all images of a table, sorted by id."""
    rows = table.read(["id", "sha256"], with_row_id=True)
    ids, stamps = hex_numbers(rows["id"]), hex_numbers(rows["sha256"])
    order = np.argsort(ids)
    return Keys(ids[order], stamps[order], rows["_rowid"].to_numpy()[order])


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


def open_index(path: Path, made_of: str) -> lance.LanceDataset | None:
    """Open the vectors of a table; None where there are none, or none of this fusion.

    made_of: what the vectors are, which has to be the same for all.
    """
    if not path.exists():
        return None
    try:
        found = lance.dataset(str(path))
    except (ValueError, OSError):
        return None
    known = (found.schema.metadata or {}).get(b"made_of", b"").decode()
    return found if known == made_of and found.describe_indices() else None


def keep_up(table: ImageTable, path: Path, made_of: str) -> lance.LanceDataset:
    """Bring the vectors and their index in step with the images' table; returns them.

    New images' vectors are added and those of images that left or changed deleted; the index is
    made where there is none, and takes in what is new when that is more than a tenth.
    """
    vectors = open_index(path, made_of)
    images = image_keys(table)
    if vectors is None:
        vectors = _write(table, path, made_of, None)
    else:
        kept, pairs = indexed_pairs(vectors), images.pairs()
        gone = kept[~np.isin(kept, pairs)]
        new = images.row_ids[~np.isin(pairs, kept)]
        for start in range(0, len(gone), 1000):
            vectors.delete(one_of("image", gone["id"][start : start + 1000].tolist()))
        # Where an image changed, its old vectors were deleted by its id.
        if len(new):
            vectors = _write(table, path, made_of, new)
    return _indexed(lance.dataset(str(path)))


def indexed_pairs(vectors: lance.LanceDataset) -> np.ndarray:
    """Return id and stamp of the images whose vectors are there."""
    there = vectors.to_table(columns=["image", "stamp"])
    return np.unique(_pairs(there["image"].to_numpy(), there["stamp"].to_numpy()))


def _write(
    table: ImageTable, path: Path, made_of: str, rows: np.ndarray | None
) -> lance.LanceDataset:
    """Write the vectors of some images behind the others, or of all images in place of them."""
    schema = pa.schema(
        [
            pa.field("image", pa.uint64()),
            pa.field("stamp", pa.uint64()),
            pa.field("vector", pa.list_(pa.float16(), table.width)),
        ],
        metadata={"made_of": made_of},
    )
    mode = "append" if rows is not None else "overwrite" if path.exists() else "create"
    batches = pa.RecordBatchReader.from_batches(schema, _batches(table, schema, rows))
    return lance.write_dataset(batches, str(path), mode=mode)


def _batches(
    table: ImageTable, schema: pa.Schema, rows: np.ndarray | None
) -> Iterator[pa.RecordBatch]:
    columns = ["id", "sha256", "fused"]
    parts = [None] if rows is None else np.array_split(rows, -(-len(rows) // _BATCH))
    for part in parts:
        chosen = None if part is None else one_of("_rowid", part.tolist())
        for batch in table.batches(columns, chosen, rows=_BATCH):
            found, counts = unpack(batch["fused"])
            vectors = normalise(found).astype(np.float16)
            yield pa.record_batch(
                [
                    np.repeat(hex_numbers(batch["id"]), counts),
                    np.repeat(hex_numbers(batch["sha256"]), counts),
                    pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), found.shape[1]),
                ],
                schema=schema,
            )


def _indexed(vectors: lance.LanceDataset) -> lance.LanceDataset:
    """Make the index, or let it take in what it does not know, where that is worth it."""
    rows = vectors.count_rows()
    if not vectors.describe_indices():
        partitions = partitions_of(rows)
        return vectors.create_index(
            "vector", "IVF_RQ", metric="dot", num_partitions=partitions, num_bits=_BITS
        )
    known = sum(index.num_rows_indexed for index in vectors.describe_indices())
    if rows - known > _STALE * rows:
        vectors.optimize.optimize_indices()
    return lance.dataset(vectors.uri)


def partitions_of(rows: int) -> int:
    """Return into how many partitions so many vectors are sorted."""
    return max(1, round(rows**0.5))


def asked_of(vectors: lance.LanceDataset) -> int:
    """Return how many partitions a search looks into: as tuned, else a share of them."""
    tuned = vectors.config().get(PARTITIONS_ASKED)
    return int(tuned) if tuned else max(1, round(_ASKED * partitions_of(vectors.count_rows())))


def owners(vectors: lance.LanceDataset, images: Keys) -> tuple[Owners, np.ndarray]:
    """Return whose the vectors are, and the row ids of the images that have none."""
    there = vectors.to_table(columns=["image", "stamp"], with_row_id=True)
    row_ids = there["_rowid"].to_numpy()
    order = np.argsort(row_ids, kind="stable")
    pairs = _pairs(there["image"].to_numpy(), there["stamp"].to_numpy())[order]
    places = images.places(pairs)
    known = places >= 0
    lacking = np.ones(len(images.ids), bool)
    lacking[places[known]] = False
    found = np.where(known, images.row_ids[places], 0) if len(images.ids) else places
    return Owners(row_ids[order], found, known), images.row_ids[lacking]


def nearest(vectors: lance.LanceDataset, query: Float32, count: int, asked: int) -> np.ndarray:
    """Return the row ids (c,) of the `count` nearest vectors, roughly, nearest first."""
    found = vectors.to_table(
        columns=["_distance"],  # whatever else is read costs a search a millisecond
        nearest={"column": "vector", "q": query, "k": count, "nprobes": asked},
        with_row_id=True,
    )
    rows: np.ndarray = found["_rowid"].to_numpy()
    return rows
