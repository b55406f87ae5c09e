"""The small file that names a collection's tables, and says what each was made with."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from finesight.errors import DataError, InputError
from finesight.files import write_json
from finesight.types import ModelIdentity

MANIFEST = "collection.json"
FORMAT = "finesight-collection"
VERSION = 3


@dataclass(frozen=True)
class TableEntry:
    """What a collection keeps for one model.

    table: the name of the table's folder. source: what finds the model again; identity: its parts,
    None where an earlier finesight did not record them. regions: the name of the region proposals;
    regions_name: what rows with these regions are marked with, which tells apart regions that the
    same proposer gave with other weights; first: the identity for which the plain name stands.
    vectors: k, how many fused vectors are kept per image. own_space: whether only the fusion's own
    text head can ask for these.
    """

    table: str
    source: str
    identity: ModelIdentity
    regions: str
    regions_name: str
    first: ModelIdentity
    vectors: int | None = None
    own_space: bool = False

    @property
    def key(self) -> str:
        """The table's name without what all have: the fingerprint, where no other has the same."""
        return self.table.removeprefix("images-").removesuffix(".lance")

    @property
    def made_of(self) -> str:
        """What the fused vectors are, by which their index and the calibration are known."""
        return json.dumps([self.identity.fusion, self.vectors, self.regions_name])

    def is_of_another(self, identity: ModelIdentity) -> bool:
        """Whether the embeddings are not those of a model: its towers or its fit differ."""
        return not {"towers", "fit"}.isdisjoint(self.identity.differs(identity))

    @staticmethod
    def of(content: dict[str, Any]) -> "TableEntry":
        """Read an entry; raises KeyError and TypeError for one that lacks what all have."""
        towers = content["model"]["fingerprint"]
        parts = content.get("identity", {})
        return TableEntry(
            table=content["table"],
            source=content["model"]["source"],
            identity=ModelIdentity(towers, fusion=content.get("fusion"), **parts),
            regions=content["regions"],
            regions_name=content.get("looked", content["regions"]),
            first=ModelIdentity(towers, **content.get("first", {})),
            vectors=content.get("vectors"),
            own_space=bool(content.get("own_space")),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the entry as it is written, with the names of keys that it always had."""
        parts = asdict(self.identity)
        towers, fusion = parts.pop("towers"), parts.pop("fusion")
        return {
            "table": self.table,
            "regions": self.regions,
            "model": {"source": self.source, "fingerprint": towers},
            "fusion": fusion,
            "vectors": self.vectors,
            "own_space": self.own_space,
            "identity": parts,
            "looked": self.regions_name,
            "first": {"dense": self.first.dense, "finder": self.first.finder},
        }


@dataclass(frozen=True)
class Manifest:
    """The tables of a collection: the one that answers, and those of other models beside it."""

    active: TableEntry
    others: tuple[TableEntry, ...] = ()
    version: int = VERSION

    @property
    def entries(self) -> tuple[TableEntry, ...]:
        """The entries of all models, the active one's first."""
        return (self.active, *self.others)

    def with_other(self, entry: TableEntry) -> "Manifest":
        """Return the manifest with an entry beside the active one, in place of one of its table."""
        kept = tuple(other for other in self.others if other.table != entry.table)
        return replace(self, others=(*kept, entry))

    def beside(self, identity: ModelIdentity) -> TableEntry | None:
        """Return the entry of another table whose embeddings are a model's, if there is one."""
        return next((e for e in self.others if not e.is_of_another(identity)), None)

    def activated(self, entry: TableEntry) -> "Manifest":
        """Return the manifest with another table as the active one, the old one kept."""
        others = tuple(other for other in self.entries if other.table != entry.table)
        return replace(self, active=entry, others=others)

    def write(self, directory: Path) -> None:
        """Replace a folder's `collection.json`, which is seen whole or not at all."""
        others = {entry.key: entry.as_json() for entry in self.others}
        head = {"format": FORMAT, "version": self.version}
        write_json(directory / MANIFEST, {**head, **self.active.as_json(), "others": others})


def read_manifest(directory: Path) -> Manifest | None:
    """Return what `collection.json` says, or None where there is none.

    Raises DataError for a damaged file or one of a newer version, InputError where the folder is a
    file.
    """
    path = directory / MANIFEST
    if not path.exists():
        if directory.exists() and not directory.is_dir():
            raise InputError(f"{directory} is a file: name a folder for the collection")
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["version"] > VERSION:
            raise DataError(
                f"{path} has format {content['format']!r} version {content['version']}; this "
                f"finesight reads up to version {VERSION}: update finesight"
            )
        others = tuple(map(TableEntry.of, content.get("others", {}).values()))
        return Manifest(TableEntry.of(content), others, content["version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}): remove {directory} and index again"
        ) from error
