"""Frozen CLIP-like towers: pixels or text to embeddings of one space."""

from finesight.encoders.base import Encoder
from finesight.encoders.preprocessing import Preprocessing

__all__ = ["Encoder", "Preprocessing"]
