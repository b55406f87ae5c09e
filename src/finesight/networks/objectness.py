"""Where something is, whatever it is: a small head on an encoder's feature map.

Every cell of the map says how likely the centre of a thing lies in it, and where and how large the
thing would be (Zhou et al. 2019, "Objects as Points", with one class). It learns from boxes alone.

Shapes: b images, c channels, h × w cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUTPUTS = 5  # of a cell: the logit of a centre, its shift in cells, the logarithm of the sides
RARE = -4.0  # the logit at the start: hardly any cell holds a centre


class Objectness(nn.Module):
    """A feature map (b, c, h, w) → (b, 5, h, w): logit, x and y shift, log width, log height.

    Shifts count from the middle of the cell, sides are in cells. Growing dilations let a cell see
    a thing that fills half of the map. Channels are standardised first, by `standardise`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, hidden: int = 96) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, hidden, 1), nn.ReLU()]
        for dilation in (1, 2, 4):
            layers.append(nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation))
            layers.append(nn.ReLU())
        last = nn.Conv2d(hidden, OUTPUTS, 1)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        last.bias.data[0] = RARE
        self.layers = nn.Sequential(*layers, last)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))

    @torch.no_grad()
    def standardise(self, features: Tensor) -> None:
        """Take mean and spread of the channels from some maps (b, c, h, w)."""
        self.mean.copy_(features.mean(dim=(0, 2, 3))[:, None, None])
        self.scale.copy_(features.std(dim=(0, 2, 3)).clamp(min=1e-6)[:, None, None])

    def forward(self, features: Tensor) -> Tensor:
        """Feature map (b, c, h, w) → (b, 5, h, w)."""
        return self.layers((features - self.mean) / self.scale)


def objectness_loss(found: Tensor, heat: Tensor, boxes: Tensor, near: Tensor) -> Tensor:
    """The loss of maps (b, 5, h, w): a focal loss of the centres, a smooth L1 of the boxes.

    heat (b, h, w): 1 at centres, falling off around them (equation 1 of "Objects as Points");
    boxes (b, 4, h, w): what the cells where `near` (b, h, w) should say of shift and size.
    """
    chance = found[:, 0].sigmoid().clamp(1e-4, 1 - 1e-4)
    centre = (heat >= 1).to(found.dtype)
    hits = centre * (1 - chance).square() * chance.log()
    misses = (1 - centre) * (1 - heat) ** 4 * chance.square() * (1 - chance).log()
    focal = -(hits + misses).sum() / centre.sum().clamp(min=1)
    apart = F.smooth_l1_loss(found[:, 1:], boxes, reduction="none", beta=0.2)
    return focal + 0.5 * (apart * near[:, None]).sum() / near.sum().clamp(min=1)


def targets(boxes: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a map of cells × cells should say for boxes (n, 4), normalised xyxy.

    Returns heat (h, w), boxes (4, h, w) and near (h, w) for `objectness_loss`; of things that
    overlap, the smaller one has a cell.
    """
    middle = torch.arange(cells) + 0.5
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    heat, near = torch.zeros(cells, cells), torch.zeros(cells, cells, dtype=torch.bool)
    said = torch.zeros(4, cells, cells)
    scaled = boxes * cells
    order = (scaled[:, 2:] - scaled[:, :2]).prod(dim=1).argsort(descending=True)
    for box in scaled[order]:
        centre, sides = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).clamp(min=0.05)
        spread = (sides / 8).clamp(min=0.6)
        away = ((x - centre[0]) / spread[0]) ** 2 + ((y - centre[1]) / spread[1]) ** 2
        around = (-away / 2).exp()
        column, row = centre.long().clamp(max=cells - 1).tolist()
        around[row, column] = 1.0
        heat = torch.maximum(heat, around)
        close = around > 0.6
        sizes = sides.log()[:, None, None].expand(2, cells, cells)
        shifts = torch.stack([centre[0] - x, centre[1] - y])
        said = torch.where(close, torch.cat([shifts, sizes]), said)
        near = near | close
    return heat, said, near
