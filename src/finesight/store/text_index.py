"""Captions and file names, by Lance's full-text index (BM25)."""

import lance
import numpy as np
from lance.query import MatchQuery, MultiMatchQuery

from finesight.errors import InputError
from finesight.store.table import ImageTable

_COLUMNS = ("caption", "path")


def index_words(table: ImageTable) -> None:
    """Index the texts of a table; an index that is there takes in what is new."""
    dataset = table.dataset
    there = _indexed(dataset)
    for column in _COLUMNS:
        if column in dataset.schema.names and column not in there:
            dataset.create_scalar_index(column, "INVERTED", with_position=False)
    rows = dataset.count_rows()
    stale = [name for name, known in there.values() if known < rows]
    if stale:
        dataset.optimize.optimize_indices(index_names=stale)


def find_words(table: ImageTable, text: str, count: int, where: str | None) -> np.ndarray:
    """Return the row ids of `count` images whose captions or names say a text, best first.

    Raises InputError where the texts are not indexed yet.
    """
    columns = [column for column in _COLUMNS if column in _indexed(table.dataset)]
    if not columns:
        raise InputError(
            "captions and file names are not indexed yet: run `finesight optimize`, or index again"
        )
    one = len(columns) == 1
    query = MatchQuery(text, columns[0]) if one else MultiMatchQuery(text, columns)
    rows = table.dataset.scanner(
        columns=["path", "_score"],
        full_text_query=query,
        filter=where,
        prefilter=where is not None,
        limit=count,
        with_row_id=True,
    ).to_table()
    order = np.lexsort([rows["path"].to_numpy(), -rows["_score"].to_numpy()])
    ids: np.ndarray = rows["_rowid"].to_numpy()[order]
    return ids


def _indexed(dataset: lance.LanceDataset) -> dict[str, tuple[str, int]]:
    """Return name and size of the full-text index of each column that has one."""
    return {
        index.field_names[0]: (index.name, index.num_rows_indexed)
        for index in dataset.describe_indices()
        if "Inverted" in index.type_url
    }
