"""Another model's vectors, built beside those of the active one: what is in its table, what not."""

import json
from collections.abc import Callable
from pathlib import Path

from finesight.annotations.notes import Note, Notes
from finesight.images.archives import containing
from finesight.indexing.adding import Adding, Way, describe_anew
from finesight.indexing.reports import IndexReport
from finesight.indexing.walking import Findings
from finesight.store.ledger import Ledger
from finesight.store.table import ImageTable
from finesight.types import Found

Rows = dict[str, tuple[str, Note]]
"""By path: an image's id, and what is known of it beside its pixels."""


def rows_of(table: ImageTable) -> Rows:
    """Return id and note of every image of a table."""
    rows = table.read(["id", "path", "caption", "metadata"]).to_pylist()
    return {
        row["path"]: (row["id"], Note(row["caption"], json.loads(row["metadata"] or "{}")))
        for row in rows
    }


def build_beside(
    wanted: Rows,
    table: ImageTable,
    ledger: Ledger,
    way: Way,
    progress: Callable[[int, int], None],
) -> tuple[IndexReport, list[str]]:
    """Bring a table to hold the wanted images; return what was done, and which are missing.

    Images are looked at where their files are new to the table or changed since; a file that
    cannot be read any more is missing.
    """
    adding = Adding(table, ledger, way, progress, wanted)
    report = adding.run(_findings(wanted))
    there = rows_of(table.newest())
    table.delete([id_ for path, (id_, _) in there.items() if path not in wanted])
    describe_anew(table.newest(), Notes({path: note for path, (_, note) in wanted.items()}))
    return report, sorted(path for path in wanted if path not in there)


def _findings(wanted: Rows) -> Findings:
    """Return the files of the wanted images that are there, and the archives around them."""
    findings = Findings()
    archives: dict[Path, None] = {}
    for name in wanted:
        path = Path(name)
        archive = containing(path)
        if archive is not None:
            archives[archive] = None
        elif (found := _found(path)) is not None:
            findings.images.append(found)
    findings.archives = [found for path in archives if (found := _found(path))]
    return findings


def _found(path: Path) -> Found | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return Found(path, status.st_size, status.st_mtime_ns)
