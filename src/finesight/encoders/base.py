"""What every encoder offers, whatever runs it."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError
from finesight.types import Float32, UInt8


class Encoder(Protocol):
    """A CLIP-like model: images and texts in one space of width d.

    longest_text: in tokens, with begin and end; a longer text is cut, with a TextTooLongWarning.
    """

    preprocessing: Preprocessing

    @property
    def width(self) -> int:
        """The embedding width d."""

    @property
    def longest_text(self) -> int:
        """The number of tokens, begin and end included, beyond which a text is cut."""

    @property
    def replicas(self) -> "Sequence[Encoder]":
        """Encoders of the same model to use at the same time, each in a thread of its own.

        Many batches take less time so than each on all cores in turn, whose threads wait for
        each other at every layer. Where one batch takes the machine (a GPU): this one alone.
        """

    def reads_whole(self, text: str) -> bool:
        """Whether a text is not cut."""

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that the model has no token for; most models have one."""

    def encode_images(self, crops: UInt8) -> Float32:
        """Return the L2-normalised embeddings (b, d) of crops (b, side, side, 3)."""

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return the L2-normalised embeddings (t, d) of texts, encoded as they are."""

    def encode_spatial(self, crops: UInt8) -> Float32:
        """Return the image tower's last feature map (b, h, w, c) of crops (b, side, side, 3).

        c is the tower's own width, not the joint space's. Raises DataError where the tower gives
        no feature map.
        """


class TextTooLongWarning(UserWarning):
    """A text was cut to what a model can read."""


def open_tokenizer(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`; raises DataError for one that is missing or damaged."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust library raises plain Exception
        raise DataError(
            f"{path} is missing or damaged ({error}): download, export or install the model again"
        ) from error


def warn_of_long_texts(texts: Sequence[str], cut: Sequence[bool], longest: int) -> None:
    """Warn, naming the limit and the first such text, where texts were cut to `longest` tokens."""
    too_long = [text for text, was in zip(texts, cut, strict=True) if was]
    if too_long:
        first = too_long[0] if len(too_long[0]) <= 60 else too_long[0][:57] + "..."
        others = f" and {len(too_long) - 1} more" if len(too_long) > 1 else ""
        warnings.warn(
            f"{first!r}{others}: the model reads {longest} tokens, the rest is ignored",
            TextTooLongWarning,
            stacklevel=3,
        )


def as_map(features: np.ndarray) -> np.ndarray:
    """Return a tower's last features as a map (b, h, w, c).

    features: (b, c, h, w) of a convolutional tower, or a transformer's tokens (b, t, c), of which
    those before the patches (class, registers) are left out: h = w = floor(sqrt(t)).
    """
    if features.ndim == 4:
        return features.transpose(0, 2, 3, 1)
    side = int(np.sqrt(features.shape[1]))
    patches = features[:, features.shape[1] - side * side :]
    return patches.reshape(len(features), side, side, -1)
