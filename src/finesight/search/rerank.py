"""Re-ranks what a search found with a matcher, which reads a sentence and an image part by part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from finesight.errors import InputError
from finesight.matching import NetworkMatcher
from finesight.store.schema import unpack
from finesight.store.snapshot import Snapshot
from finesight.types import Float32, Query

TOP = 100
"""How many of the best are re-ranked unless told."""

_AT_ONCE = 512  # images whose regions are read at a time


@dataclass(frozen=True)
class Reranking:
    """How the `top` best of a search are ranked anew: by what a matcher gives a sentence."""

    matcher: NetworkMatcher
    sentence: str
    top: int = TOP

    def scores(self, snapshot: Snapshot, row_ids: Sequence[int]) -> dict[int, float]:
        """Return the matcher's score of each row, by its id."""
        found: dict[int, float] = {}
        for start in range(0, len(row_ids), _AT_ONCE):
            some = row_ids[start : start + _AT_ONCE]
            regions = _regions(snapshot.rows(some, ["regions"])["regions"].chunks)
            scores = self.matcher.scores(regions, [self.sentence])
            found |= dict(zip(some, scores[:, 0].tolist(), strict=True))
        return found


def sentence_of(query: Query) -> str:
    """Return the sentence that a matcher is to read; raises InputError where there is none."""
    if len(query.parts) != 1 or query.parts[0].text is None:
        raise InputError(
            "a matcher re-ranks for one text: write the query as one sentence, without images, "
            "+ and -, or search without --rerank"
        )
    return query.parts[0].text


def _regions(chunks: Sequence[pa.ListArray]) -> list[Float32]:
    regions: list[Float32] = []
    for chunk in chunks:
        rows, counts = unpack(chunk)
        regions += np.split(rows.astype(np.float32), np.cumsum(counts)[:-1])
    return regions
