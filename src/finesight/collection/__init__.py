"""Collections: a stored, searchable set of images."""

from finesight.collection.collection import Collection
from finesight.collection.reports import IndexReport, Skipped
from finesight.collection.storage import Storage

__all__ = ["Collection", "IndexReport", "Skipped", "Storage"]
