"""What datasets of typed queries are read into: texts by kind, with all images they are true of."""

from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("raw", "similar", "fragment", "phrase", "tag")
"""The five kinds of query of Flickr30K-CFQ: two of sentences, three of what people type."""


@dataclass(frozen=True)
class TypedQuery:
    """One query: its kind, of KINDS, its text as typed, and the ids of all relevant images."""

    kind: str
    text: str
    relevant: frozenset[str]


@dataclass(frozen=True)
class TypedQueries:
    """Queries over a gallery of images, by their ids; folds: lists of indices of queries."""

    queries: tuple[TypedQuery, ...]
    images: tuple[str, ...]
    folds: tuple[tuple[int, ...], ...] = ()

    def of(self, kind: str) -> Sequence[TypedQuery]:
        """Return the queries of one kind, in their order."""
        return [query for query in self.queries if query.kind == kind]
