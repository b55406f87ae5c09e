"""What people type, and what it means: from words to a `SearchRequest`."""

from finesight.queries.filters import Filters
from finesight.queries.parsing import checked, parse_part, parse_query, part_name
from finesight.queries.request import QueryInput, SearchRequest

__all__ = [
    "Filters",
    "QueryInput",
    "SearchRequest",
    "checked",
    "parse_part",
    "parse_query",
    "part_name",
]
