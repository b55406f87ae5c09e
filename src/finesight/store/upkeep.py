"""What keeps searches fast as a collection grows: indexes in step with its rows."""

from collections.abc import Callable

from finesight.store.snapshot import FLAT, Snapshot
from finesight.store.table import ImageTable
from finesight.store.text_index import index_words
from finesight.store.vector_index import keep_up


def keep_fast(
    table: ImageTable, made_of: str, say: Callable[[str], None] = lambda message: None
) -> Snapshot:
    """Bring the indexes of a table in step, where that is due; return the version that has them.

    say: is told of what may take minutes.
    """
    index_words(table)
    snapshot = Snapshot(table, made_of)
    if snapshot.has_pooled and snapshot.vectors > FLAT:
        say("bringing the index over the vectors in step")
        keep_up(table, made_of)
    return Snapshot(table.newest(), made_of)
