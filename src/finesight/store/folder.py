"""The folder of a collection: its manifest, its tables, and the lock of who writes."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock

from finesight.errors import InputError
from finesight.store.calibration import calibration_file
from finesight.store.ledger import Ledger
from finesight.store.manifest import Manifest, TableEntry, read_manifest
from finesight.store.table import ImageTable
from finesight.store.vector_index import index_path


class CollectionFolder:
    """The files of a collection, as its manifest names them.

    directory: where they are; manifest: what was read last, None where nothing was ever indexed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest = read_manifest(directory)

    def need(self) -> Manifest:
        """Return the manifest; raises InputError, with the command that makes one, for none."""
        if self.manifest is None:
            raise InputError(
                f"there is no collection in {self.directory}: make one with "
                f"`finesight index FOLDER --collection {self.directory}`"
            )
        return self.manifest

    @property
    def active(self) -> TableEntry:
        """The entry of the table that answers; raises InputError where there is none."""
        return self.need().active

    def table(self, entry: TableEntry | None = None) -> ImageTable:
        """Open the newest version of the active table, or of another entry's."""
        return ImageTable.open(self.directory / (entry or self.active).table)

    def ledger(self) -> Ledger:
        """Open the ledger of files without a row."""
        return Ledger(self.directory)

    def refresh(self) -> None:
        """Read the manifest again, which another process may have written."""
        self.manifest = read_manifest(self.directory) or self.manifest

    def save(self, manifest: Manifest) -> None:
        """Write the manifest, where it says something new."""
        if manifest != self.manifest:
            manifest.write(self.directory)
            self.manifest = manifest

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock, with the newest manifest; raises InputError where that cannot be."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.directory / ".lock", timeout=0):
                self.manifest = read_manifest(self.directory)
                yield
        except OSError as error:
            reason = f"cannot write to {self.directory}: {error.strerror or error}"
            if isinstance(error, filelock.Timeout):
                reason = f"another run is indexing into {self.directory}: wait until it has ended"
            raise InputError(reason) from error

    def drop(self, entries: Sequence[TableEntry]) -> None:
        """Remove the tables of models that are not the active one, and all that belongs to them."""
        manifest = self.need()
        kept = tuple(other for other in manifest.others if other not in entries)
        self.save(Manifest(manifest.active, kept, manifest.version))
        for entry in entries:
            table = self.directory / entry.table
            shutil.rmtree(table)
            shutil.rmtree(index_path(table), ignore_errors=True)
            calibration_file(table).unlink(missing_ok=True)
