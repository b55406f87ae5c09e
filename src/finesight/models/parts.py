"""The parts that a bundle may have beside its towers: what its manifest says of each.

files: the names of a part's files in a bundle; origin: what its provenance is kept by;
field: where a Bundle has it.
"""

from dataclasses import dataclass
from typing import ClassVar

from finesight.encoders.dense import DenseEntry
from finesight.encoders.finder import OBJECTNESS
from finesight.matching.item_head import ITEM_HEAD


@dataclass(frozen=True)
class FinderEntry:
    """The graph that proposes regions; cost: of a pixel of its canvas, in encodings of one crop."""

    cost: float
    files: ClassVar = (OBJECTNESS,)
    origin: ClassVar = "objectness"
    field: ClassVar = "finder"


@dataclass(frozen=True)
class FusionEntry:
    """A fusion.

    name: of a training-free one, or of the network in `file`; vectors: k; text_head: the file of
    its linear layer over text embeddings, where the fused vectors have a space of their own.
    """

    name: str
    vectors: int
    file: str | None = None
    text_head: str | None = None
    origin: ClassVar = "fusion"
    field: ClassVar = "fusions"

    @property
    def files(self) -> tuple[str, ...]:
        """The network and its text head, as far as there are any."""
        return tuple(file for file in (self.file, self.text_head) if file)


@dataclass(frozen=True)
class MatcherEntry:
    """A matcher: its graph, its word tower and tokenizer, as files of the bundle.

    kind: such as "adapt"; regions: the proposer whose regions it was trained with.
    """

    name: str
    kind: str
    file: str
    words: str
    tokenizer: str
    regions: str
    field: ClassVar = "matchers"

    @property
    def files(self) -> tuple[str, ...]:
        """In the order in which a NetworkMatcher takes them."""
        return (self.file, self.words, self.tokenizer)

    @property
    def origin(self) -> str:
        """Each matcher has its own."""
        return f"matcher {self.name}"


@dataclass(frozen=True)
class ItemsEntry:
    """The item head; width: of an item embedding."""

    width: int
    file: str = ITEM_HEAD
    origin: ClassVar = "items"
    field: ClassVar = "items"

    @property
    def files(self) -> tuple[str, ...]:
        """The head alone."""
        return (self.file,)


Part = DenseEntry | FinderEntry | FusionEntry | MatcherEntry | ItemsEntry
