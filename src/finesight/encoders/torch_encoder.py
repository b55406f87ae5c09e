"""What the encoders that run in PyTorch share."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from finesight.encoders.preprocessing import Preprocessing
from finesight.scoring.similarity import normalise
from finesight.types import Float32, UInt8

_BATCH = 64


class TorchEncoder:
    """An encoder on one device, which a batch takes whole.

    preprocessing: how pixels become its input; device: "cuda" where there is one, else "cpu";
    dtype: what it computes in.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.dtype = torch.float32

    @cached_property
    def width(self) -> int:
        """The embedding width d."""
        return int(self.encode_texts(["a"]).shape[1])

    @property
    def replicas(self) -> tuple[Self]:
        """This one alone: a batch takes the whole device."""
        return (self,)

    def encode_images(self, crops: UInt8) -> Float32:
        """Return the L2-normalised embeddings (b, d) of crops (b, side, side, 3)."""
        return normalise(self._run(crops, self._embed_pixels))

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return the L2-normalised embeddings (t, d) of texts, cut where they are too long."""
        with torch.inference_mode():
            return normalise(self._embed_texts(texts).float().cpu().numpy())

    def _embed_pixels(self, pixels: Tensor) -> Any:
        """Pixels (b, 3, side, side) → embeddings (b, d)."""
        raise NotImplementedError

    def _embed_texts(self, texts: Sequence[str]) -> Any:
        """Texts → embeddings (t, d)."""
        raise NotImplementedError

    @torch.inference_mode()
    def _run(self, crops: UInt8, compute: Callable[[Tensor], Any]) -> Float32:
        """Return what a function makes of crops, batch by batch."""
        found = []
        for start in range(0, len(crops), _BATCH):
            pixels = torch.from_numpy(self.preprocessing.tensor(crops[start : start + _BATCH]))
            found.append(compute(pixels.to(self.device, self.dtype)).float().cpu().numpy())
        return np.concatenate(found)
