"""What every encoder offers, whatever runs it."""

from collections.abc import Sequence
from typing import Protocol

from finesight.encoders.preprocessing import Preprocessing
from finesight.types import Float32, UInt8


class Encoder(Protocol):
    """A CLIP-like model: images and texts in one space of width d."""

    preprocessing: Preprocessing

    @property
    def width(self) -> int:
        """The embedding width d."""

    def encode_images(self, crops: UInt8) -> Float32:
        """Return the L2-normalised embeddings (b, d) of crops (b, side, side, 3)."""

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return the L2-normalised embeddings (t, d) of texts, encoded as they are."""
