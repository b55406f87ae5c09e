"""Collections: a stored, searchable set of images."""

from finesight.collection.adding import IndexReport
from finesight.collection.collection import Collection
from finesight.collection.walking import Skipped

__all__ = ["Collection", "IndexReport", "Skipped"]
