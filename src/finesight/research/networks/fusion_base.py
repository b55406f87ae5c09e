"""What all fusion networks have: their settings, k, and how they know where a region is."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

GEOMETRY = 6  # numbers that say where a region is: centre, sides, and the logarithms of the sides


@dataclass(frozen=True)
class FusionSettings:
    """What a fusion network is.

    kind: one of KINDS; vectors: k, where the network itself decides it; size: of the transformer;
    residual: it adds to the whole-image embedding, from nothing at the start; geometry: it knows
    where the regions are; feed_forward: the width of the transformer's hidden layer; directions: of
    the clusters and the table, how many stand for things and, of clusters, how many for nothing.
    """

    kind: str
    width: int
    vectors: int = 1
    size: str = "tiny"
    residual: bool = False
    geometry: bool = False
    feed_forward: int = 2048
    dropout: float = 0.1
    directions: tuple[int, int] = (0, 0)


class FusionNetwork(nn.Module):
    """What every kind has: `vectors` is k, which may be changed where `any_number` says so."""

    any_number = False

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__()
        self.settings = settings
        self.vectors = settings.vectors


class Place(nn.Module):
    """Where a region is and how large, as a vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(GEOMETRY, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, boxes: Tensor) -> Tensor:
        """Boxes (b, p, 4) → (b, p, width)."""
        sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
        centres = (boxes[..., 2:] + boxes[..., :2]) / 2
        return self.layers(torch.cat([centres, sides, sides.log()], dim=-1))
