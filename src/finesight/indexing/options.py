"""How images are indexed: every option of a run in one record."""

from collections.abc import Sequence
from dataclasses import dataclass

from finesight.errors import InputError, need
from finesight.images.open import MAX_PIXELS
from finesight.models import Model
from finesight.proposals import parse_proposer, resolve_effort
from finesight.store.manifest import TableEntry


@dataclass(frozen=True)
class IndexOptions:
    """What to index of the given paths, and how.

    regions: the region proposals, a name for `parse_proposer`; vectors: k, how many fused vectors
    are kept per image. Where they are None, the collection's are taken, else the model's.
    listed: the paths come from a list, and those that are gone are skipped. exclude: patterns as in
    `.finesightignore`. prune: remove images below the given folders whose files are gone. raw:
    index the previews in raw files. max_pixels: larger images are skipped.
    """

    regions: str | None = None
    vectors: int | None = None
    listed: bool = False
    exclude: Sequence[str] = ()
    prune: bool = False
    raw: bool = False
    max_pixels: int = MAX_PIXELS

    def resolved(self, model: Model, entry: TableEntry | None) -> "tuple[str, int]":
        """Return the regions and the number of vectors that are meant, checked.

        entry: what the collection says of the model's table, None before the first run. Raises
        InputError for what the model cannot do.
        """
        regions = self.regions or (entry and entry.regions) or model.regions
        regions = resolve_effort(regions, model.capabilities)
        parse_proposer(regions, model.capabilities)
        vectors = self.vectors or (entry and entry.vectors) or model.vectors
        if vectors < 1:
            raise InputError(f"keep at least one vector per image, got {vectors}")
        if self.raw:
            need("rawpy", "reading raw files needs one more package", "raw")
        return regions, vectors
