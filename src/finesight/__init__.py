"""Find images by the small things in them.

>>> from finesight import Collection                        # doctest: +SKIP
>>> pictures = Collection.open("pictures.finesight", "mini")  # doctest: +SKIP
>>> pictures.add(["~/Pictures"])                              # doctest: +SKIP
>>> pictures.search("red mug")[0].box                         # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from finesight.errors import FinesightError
from finesight.types import Hit, Match, Part, Query

if TYPE_CHECKING:
    from finesight.collection import Collection
    from finesight.models import Model, load_model
    from finesight.queries import SearchRequest

__all__ = [
    "Collection",
    "FinesightError",
    "Hit",
    "Match",
    "Model",
    "Part",
    "Query",
    "SearchRequest",
    "load_model",
]

_ROOMS = {
    "Collection": "finesight.collection",
    "Model": "finesight.models",
    "SearchRequest": "finesight.queries",
    "load_model": "finesight.models",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import finesight` itself takes no time."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'finesight' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ROOMS[name]), name)
