"""What keeps searches fast as a collection grows: indexes in step, and few, large files."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import lance

from finesight.collection.snapshot import FLAT, Snapshot
from finesight.collection.vector_index import index_path, keep_up
from finesight.collection.words import index_words

_SMALL = 1024  # rows: a smaller part of the table costs a search more than it holds
_MANY = 64
_ROWS = 16_384  # a part has at most, so that merging again stays cheap
_OLD = timedelta(hours=1)  # versions that readers may still be looking at


def keep_fast(
    table: lance.LanceDataset, made_of: str, say: Callable[[str], None] = lambda message: None
) -> None:
    """Merge small parts of a table and bring its indexes in step, where that is due.

    say: is told of what may take minutes.
    """
    small = sum(fragment.count_rows() < _SMALL for fragment in table.get_fragments())
    if small > _MANY:
        table.optimize.compact_files(target_rows_per_fragment=_ROWS)
        table.cleanup_old_versions(older_than=_OLD)
        table = lance.dataset(table.uri)
    index_words(table)
    snapshot = Snapshot(table, made_of)
    if snapshot.has_fused and snapshot.vectors > FLAT:
        say("bringing the index over the vectors in step")
        keep_up(table, index_path(Path(table.uri)), made_of)
