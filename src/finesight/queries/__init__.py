"""What people type, and what it means: from words to a `Query`, from filters to conditions."""

from finesight.queries.filters import path_condition
from finesight.queries.parsing import checked, parse_part, parse_query, part_name

__all__ = ["checked", "parse_part", "parse_query", "part_name", "path_condition"]
