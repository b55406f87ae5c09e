"""Collections: a stored, searchable set of images."""

from finesight.collection.collection import Collection
from finesight.collection.reports import IndexReport, Skipped

__all__ = ["Collection", "IndexReport", "Skipped"]
