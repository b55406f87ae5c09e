"""What a run did."""

from dataclasses import dataclass
from pathlib import Path

from finesight.types import Skipped


@dataclass(frozen=True)
class IndexReport:
    """What one run of indexing did.

    indexed: new and changed images; moved: images of which only the path changed; gone: images
    below the given folders whose files are not there any more; removed: how many of these left
    the collection.
    """

    indexed: int
    unchanged: int
    skipped: tuple[Skipped, ...]
    moved: int = 0
    gone: int = 0
    removed: int = 0


@dataclass(frozen=True)
class SwitchReport:
    """What a switch did: how many images were encoded, whose files are missing, and if it is done.

    Nothing is switched where files are missing, unless that was asked for.
    """

    indexed: int
    missing: tuple[Path, ...]
    switched: bool
