"""What searches see of a collection: its newest images, and the model that answers with them."""

from functools import cached_property

from finesight.errors import DataError, InputError
from finesight.models import DEFAULT, Model, load_model
from finesight.search.encode import PooledSpace
from finesight.search.pipeline import Searchable
from finesight.store.calibration import calibration_file, load_calibrator
from finesight.store.folder import CollectionFolder
from finesight.store.manifest import TableEntry
from finesight.store.snapshot import Snapshot


class Reader:
    """A collection as it is read, whatever other processes write to it meanwhile."""

    def __init__(self, folder: CollectionFolder, model: Model | str | None) -> None:
        """Read with a model, by its name or loaded; None for the collection's own.

        Raises InputError where the collection was made with another one.
        """
        self.folder = folder
        self._given = load_model(model) if isinstance(model, str) else model
        self._snapshot: Snapshot | None = None
        self._entry: TableEntry | None = folder.manifest.active if folder.manifest else None
        self._check_given()

    @cached_property
    def model(self) -> Model:
        """The model whose embeddings the collection holds; the default one for a new collection.

        Raises DataError where it is not found as it was.
        """
        if self._given is not None:
            return self._given
        if self.folder.manifest is None:
            return load_model(DEFAULT)
        entry = self.folder.active
        model = load_model(entry.source)
        if entry.is_of_another(model.identity):
            raise DataError(
                f"{self.folder.directory} was made with another version of the model "
                f"{model.source}: give the old version with --model DIR, or have the new one look "
                f"at the images and switch to it: {self._switch(model)}"
            )
        return model

    def switch_to(self, model: Model) -> None:
        """Read with another model from now on, whose table is the active one."""
        self._given = model
        self.__dict__.pop("model", None)

    def snapshot(self) -> Snapshot:
        """Return the table as it is now, with what earlier searches read into memory."""
        self.folder.refresh()
        entry = self.folder.active
        if entry != self._entry:  # images were fused again, or another model answers
            self._check_given()
            if self._entry and self._entry.identity != entry.identity:
                self.__dict__.pop("model", None)
            self._entry, self._snapshot = entry, None
        if self._snapshot is None or not self._snapshot.table.is_newest:
            table = self.folder.table()
            calibrator = load_calibrator(calibration_file(table.path))
            self._snapshot = Snapshot(table, entry.made_of, calibrator)
        return self._snapshot

    def reopen(self) -> Searchable:
        """Return the collection as it is now, and nothing of what was read before."""
        self._snapshot = None
        return self.searchable()

    def searchable(self) -> Searchable:
        """Return the collection as a search meets it now."""
        snapshot, entry = self.snapshot(), self.folder.active
        directory, regions = self.folder.directory, entry.regions
        space = self._pooled_space(entry) if entry.own_space else None
        return Searchable(directory, snapshot, lambda: self.model, regions, space)

    def _pooled_space(self, entry: TableEntry) -> PooledSpace:
        """Return the space of pooled vectors that are not of the encoder's own."""
        differs = entry.identity.differs(self.model.identity)
        if self.model.text_head is None or not {"fusion", "text_head"}.isdisjoint(differs):
            raise InputError(
                f"the pooled vectors in {self.folder.directory} are of the fusion "
                f"{entry.identity.fusion}, which {self.model.source} does not have: leave --model "
                "out, or index the images again, which fuses them again"
            )
        return PooledSpace(self.model.text_head, self.model.fusion)

    def _check_given(self) -> None:
        """Raise InputError where the given model is not that of the collection."""
        given, manifest = self._given, self.folder.manifest
        if not (given and manifest and manifest.active.is_of_another(given.identity)):
            return
        entry = manifest.active
        other = "another"
        if entry.identity.towers == given.fingerprint:
            other = f"the same with another fit ({given.identity.fit}, not {entry.identity.fit})"
        raise InputError(
            f"{self.folder.directory} was made with the model {entry.source}, and {given.source} "
            f"is {other}: leave --model out, or have it look at the images too and switch to it: "
            + self._switch(given)
        )

    def _switch(self, model: Model) -> str:
        """Return the command that makes a model the active one."""
        return f"finesight switch {model.source} --collection {self.folder.directory}"
