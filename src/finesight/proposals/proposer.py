"""What a proposer is, and what it gives: boxes and crops to encode."""

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from finesight.encoders import Encoder, Preprocessing
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.types import Float32, ImageVectors, UInt8


@dataclass(frozen=True)
class Proposals:
    """The regions of an image whose crops are still to be encoded.

    boxes: (p, 4); known: the embeddings (p - c, d) of the last of them, of which there are no
    crops.
    """

    boxes: Float32
    known: Float32 | None = None

    def complete(self, embeddings: Float32) -> ImageVectors:
        """Return all regions; embeddings: of the crops, (c, d)."""
        if self.known is not None:
            embeddings = np.concatenate([embeddings, self.known])
        return ImageVectors(self.boxes, embeddings)


class Proposer(Protocol):
    """Says which parts of an image are cut out and encoded, or read from one canvas."""

    def finest(self, width: int, height: int) -> Float32:
        """Return boxes among which are the smallest that may be cut from such an image.

        By them a file is decoded smaller than it is.
        """

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return the boxes (p, 4), normalised xyxy, the whole image first, and crops to encode.

        Crops: (c, side, side, 3).
        """

    def forward_passes(self, width: int, height: int) -> float:
        """Return the most that an image costs, in encodings of one crop."""


def encode_proposals(picture: Picture, encoder: Encoder, proposer: Proposer) -> ImageVectors:
    """Return the boxes and embeddings of one picture, the whole image first."""
    proposals, crops = proposer.propose(picture, encoder.preprocessing)
    return proposals.complete(encoder.encode_images(crops))


def read_name(name: str, pattern: re.Pattern[str]) -> re.Match[str]:
    """Return the parts of a proposer's name; raises InputError for one of another pattern."""
    match = pattern.fullmatch(name)
    if match is None:
        raise unknown_regions(name)
    return match


def unknown_regions(name: str) -> InputError:
    """Return the error for a name of no proposer; it says what there is."""
    return InputError(
        f"unknown regions {name!r}: use full, ccN (Complete Cover, such as cc10), "
        "ccN-paper (with the paper's spacing), gridN, or coverPXrR (such as cover24r4); "
        "with a model also objectsSxN, closerN or denseS; or detect:SOURCE"
    )
