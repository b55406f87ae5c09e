"""Collections: a stored, searchable set of images."""

from finesight.collection.collection import Collection, IndexReport
from finesight.collection.storage import Storage
from finesight.collection.walking import Skipped

__all__ = ["Collection", "IndexReport", "Skipped", "Storage"]
