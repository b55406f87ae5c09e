"""Reads many windows out of one canvas with a vision transformer that runs in PyTorch."""

from collections.abc import Sequence
from functools import cached_property

import torch

from finesight.encoders.dense import windows_of_patches
from finesight.encoders.torch_hub import TransformersEncoder
from finesight.encoders.torch_region_tokens import ALL_LAYERS, RegionTokens
from finesight.errors import DataError
from finesight.scoring.similarity import normalise
from finesight.types import Float32, UInt8


class TorchRegions:
    """A DenseTower of a checkpoint of transformers.

    layers, values: see RegionTokens. Raises DataError, when it is used, for a tower that is
    not built as CLIP's or SigLIP's.
    """

    def __init__(
        self, encoder: TransformersEncoder, layers: int = ALL_LAYERS, values: bool = False
    ) -> None:
        self.preprocessing = encoder.preprocessing
        self._encoder = encoder
        self._layers, self._values = layers, values

    @cached_property
    def network(self) -> RegionTokens:
        """The tower, ready to run."""
        try:
            return RegionTokens(self._encoder.model, self._layers, self._values).eval()
        except (ValueError, AttributeError) as error:
            raise DataError(
                f"{self._encoder.directory} cannot read windows out of one canvas ({error}): "
                "look by ccN instead"
            ) from error

    @property
    def stride(self) -> int:
        """Pixels of the canvas for each patch."""
        return self.network.stride

    def forward_passes(self, side: int) -> float:
        """What one canvas costs, in encodings of one crop: the share of their patches."""
        return (side / self.preprocessing.side) ** 2

    @torch.inference_mode()
    def read(self, canvas: UInt8, cells: Sequence[int]) -> tuple[Float32, Float32]:
        """Return the windows of a canvas: see DenseTower."""
        boxes, inside = windows_of_patches(len(canvas) // self.stride, cells)
        where = next(self.network.parameters())
        pixels = torch.from_numpy(self.preprocessing.tensor(canvas[None])).to(where)
        found = self.network(pixels, torch.from_numpy(inside).to(where))
        return boxes, normalise(found.float().cpu().numpy())
