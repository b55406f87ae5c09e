"""One version of a table, with what searches keep in memory of it."""

import threading
from dataclasses import dataclass
from functools import cached_property

import lance
import numpy as np

from finesight.collection.schema import unpack
from finesight.scoring import cosines, max_over_regions
from finesight.types import Float32

FLAT = 200_000
"""So many fused vectors are held in memory and scanned; of more, an index is asked."""


@dataclass(frozen=True)
class FlatVectors:
    """The fused vectors of all images, as they are stored (sum of counts, d).

    counts, row_ids: (n,), of the images one after another.
    """

    vectors: np.ndarray
    counts: np.ndarray
    row_ids: np.ndarray

    def scores(self, queries: Float32) -> Float32:
        """Return the best cosine of each image with each query, (m, n)."""
        found = cosines(queries, self.vectors)
        return np.stack([max_over_regions(each, self.counts)[0] for each in found])


class Snapshot:
    """One version of a table, safe for several threads.

    dataset: the table; it stays as it is, whatever is written meanwhile.
    """

    def __init__(self, dataset: lance.LanceDataset) -> None:
        self.dataset = dataset
        self._lock = threading.Lock()

    @property
    def is_latest(self) -> bool:
        """Whether nothing was written since."""
        return bool(self.dataset.latest_version == self.dataset.version)

    @cached_property
    def images(self) -> int:
        """The number of images."""
        return int(self.dataset.count_rows())

    @cached_property
    def has_fused(self) -> bool:
        """Whether fused vectors are kept; the first version of collections had none."""
        return "fused" in self.dataset.schema.names

    @cached_property
    def vectors(self) -> int:
        """The number of fused vectors, as many for every image as the first one has."""
        first = self.dataset.to_table(columns=["fused"], limit=1)
        return self.images * (len(first["fused"][0]) if first.num_rows else 0)

    @property
    def flat(self) -> FlatVectors | None:
        """The fused vectors in memory, read once; None where they are too many."""
        if not self.has_fused or self.vectors > FLAT:
            return None
        with self._lock:
            return self._flat

    @cached_property
    def _flat(self) -> FlatVectors:
        table = self.dataset.to_table(columns=["fused"], with_row_id=True)
        parts = [unpack(chunk) for chunk in table["fused"].chunks]
        if not parts:
            return FlatVectors(np.zeros((0, 1), np.float16), np.zeros(0, int), np.zeros(0, int))
        vectors = np.concatenate([vectors for vectors, _ in parts])
        counts = np.concatenate([counts for _, counts in parts])
        return FlatVectors(vectors, counts, table["_rowid"].to_numpy())
