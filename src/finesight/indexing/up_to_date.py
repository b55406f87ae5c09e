"""Makes a model's table, or brings one up to date with what the model's parts are today."""

import dataclasses

from finesight.errors import InputError
from finesight.indexing.encode import fuse
from finesight.models import Model
from finesight.proposals.finder_proposer import OBJECTS
from finesight.store.calibration import calibration_file
from finesight.store.folder import CollectionFolder
from finesight.store.manifest import VERSION, Manifest, TableEntry
from finesight.store.migration import add_details, fuse_again
from finesight.store.schema import DETAILS
from finesight.store.table import ImageTable
from finesight.types import ModelIdentity


def update_active(folder: CollectionFolder, model: Model, regions: str, vectors: int) -> TableEntry:
    """Bring the active table up to date, or make a collection where there is none; return it.

    Raises InputError where the active table is another model's, as after a switch meanwhile.
    """
    old = None if folder.manifest is None else folder.manifest.active
    if old is not None and old.is_of_another(model.identity):
        raise InputError(f"{folder.directory} answers with {old.source} now: index again")
    entry = up_to_date(folder, old, model, regions, vectors)
    folder.save(Manifest(entry, folder.manifest.others if folder.manifest else ()))
    return entry


def up_to_date(
    folder: CollectionFolder, entry: TableEntry | None, model: Model, regions: str, vectors: int
) -> TableEntry:
    """Return the entry of a model's table that holds what the model would put into it today.

    entry: what the manifest says of it, None to make it; regions, vectors: as rows are to have
    them from now on. Columns of newer versions are added, and images that were fused otherwise or
    not at all are fused again. Regions of another finder get another name, so that the images are
    encoded again as they are next indexed. The manifest is left to the caller.
    """
    identity = model.identity
    if entry is None:
        name = f"images-{identity.towers}.lance"
        if folder.manifest and any(each.table == name for each in folder.manifest.entries):
            name = f"images-{identity.towers}-{identity.fit}.lance"  # the towers with another fit
        entry = TableEntry(name, model.source, identity, regions, regions, identity, vectors)
        # A table that is there without an entry is what a killed first run left: it is replaced.
        ImageTable.create(folder.directory / name, model.encoder.width)
    # What was not recorded of the first versions counts as what it is now.
    recorded = {name: value for name, value in vars(entry.first).items() if value is not None}
    first = dataclasses.replace(identity, **recorded)
    fresh = dataclasses.replace(
        entry,
        source=model.source,
        identity=identity,
        regions=regions,
        regions_name=regions_name(regions, identity, first),
        first=first,
        vectors=vectors,
        own_space=model.text_head is not None,
    )
    table = folder.table(entry)
    old = folder.manifest is not None and folder.manifest.version < VERSION
    if old or not set(DETAILS.names) <= set(table.columns):
        add_details(table)
    fused = (entry.identity.fusion, entry.vectors) == (identity.fusion, vectors)
    if not fused or "fused" not in table.columns:
        fuse_again(folder.table(entry), lambda seen: fuse(model, seen, vectors))
    if "background" in entry.identity.differs(identity):
        calibration_file(folder.directory / entry.table).unlink(missing_ok=True)
    return fresh


def regions_name(regions: str, identity: ModelIdentity, first: ModelIdentity) -> str:
    """Return what rows with regions of a model are marked with.

    The name of the regions; with the version of what proposes or encodes them (the finder, the
    dense graphs), where that is not the first of the collection.
    """
    objects = OBJECTS.fullmatch(regions)
    parts = ["finder"] if objects else []
    if regions.startswith("dense") or (objects and objects[3]):  # small crops
        parts.append("dense")
    now = [getattr(identity, part) for part in parts]
    changed = now != [getattr(first, part) for part in parts]
    return "@".join([regions, *now]) if changed else regions
