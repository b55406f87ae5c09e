"""Where something is, whatever it is: a thin network on the pixels of a small canvas.

Every cell of its map says how likely the centre of a thing lies in it, and where and how large the
thing would be (Zhou et al. 2019, "Objects as Points", with one class). It learns from boxes alone.
It is a network of its own, so that it serves any encoder, and so thin that a canvas of 256 pixels
costs about as much as one crop of the smallest encoder.

Shapes: b images, h × w cells of `STRIDE` pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.small_clip import ConvNorm, Convolutional, ResidualBlock

OUTPUTS = 5  # of a cell: the logit of a centre, its shift in cells, the logarithm of the sides
RARE = -4.0  # the logit at the start: hardly any cell holds a centre
STRIDE = 8  # pixels of the canvas for each cell
COARSEST = 32  # a canvas has a multiple of as many pixels a side


class FinderNetwork(Convolutional):
    """Pixels (b, 3, 8h, 8w) → (b, 5, h, w): logit, x and y shift, log width, log height.

    Shifts count from the middle of the cell, sides are in cells. Down to cells of 32 pixels, to see
    a thing that fills the canvas, and up again to cells of 8, with what was seen there on the way
    down added (Lin et al. 2017, "Feature Pyramid Networks").
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = 16, 32, 48, 64
        self.stem = ConvNorm(3, first, 3, stride=2)
        self.fine = nn.Sequential(ResidualBlock(first, first, 2), ResidualBlock(first, second, 2))
        self.middle = nn.Sequential(ResidualBlock(second, third, 2), ResidualBlock(third, third, 1))
        self.coarse = nn.Sequential(
            ResidualBlock(third, fourth, 2), ResidualBlock(fourth, fourth, 1)
        )
        self.from_coarse = ConvNorm(fourth, third, 1)
        self.merged = ResidualBlock(third, third, 1)
        self.from_middle = ConvNorm(third, second, 1)
        self.last = ResidualBlock(second, second, 1)
        self.say = nn.Conv2d(second, OUTPUTS, 1)
        assert self.say.bias is not None
        nn.init.zeros_(self.say.bias)
        self.say.bias.data[0] = RARE

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (b, 3, 8h, 8w), h and w multiples of 4 → (b, 5, h, w)."""
        fine = self.fine(F.relu(self.stem(pixels)))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.merged(middle + _enlarged(self.from_coarse(coarse)))
        return self.say(self.last(fine + _enlarged(self.from_middle(middle))))


def _enlarged(cells: Tensor) -> Tensor:
    return F.interpolate(cells, scale_factor=2.0, mode="nearest")


def finder_loss(found: Tensor, heat: Tensor, boxes: Tensor, near: Tensor) -> Tensor:
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

    Returns heat (h, w), boxes (4, h, w) and near (h, w) for `finder_loss`; of things that
    overlap, the smaller one has a cell.
    """
    middle = torch.arange(cells) + 0.5
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    heat, near = torch.zeros(cells, cells), torch.zeros(cells, cells, dtype=torch.bool)
    wanted = torch.zeros(4, cells, cells)
    scaled = boxes * cells
    order = (scaled[:, 2:] - scaled[:, :2]).prod(dim=1).argsort(descending=True)
    for box in scaled[order]:
        centre, sides = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).clamp(min=0.05)
        spread = (sides / 8).clamp(min=0.6)
        away = ((x - centre[0]) / spread[0]) ** 2 + ((y - centre[1]) / spread[1]) ** 2
        around = (-away / 2).exp()
        column, row = centre.long().clamp(0, cells - 1).tolist()
        around[row, column] = 1.0
        heat = torch.maximum(heat, around)
        close = around > 0.6
        sizes = sides.log()[:, None, None].expand(2, cells, cells)
        shifts = torch.stack([centre[0] - x, centre[1] - y])
        wanted = torch.where(close, torch.cat([shifts, sizes]), wanted)
        near = near | close
    return heat, wanted, near
