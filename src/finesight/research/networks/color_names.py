"""Which colours an image shows, read from its pixels: a soft histogram over a palette.

Pixels are compared with the palette in OKLab (Ottosson 2020, "A perceptual color space for image
processing"), in which equal distances look about equally different. The palette has a few shades of
each of the eleven basic colour terms of English (Berlin and Kay 1969, "Basic Color Terms"), and of
cyan.

Shapes: b images, s shades of the palette, c colours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PALETTE: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((12, 12, 12), (38, 38, 40)),
    "white": ((250, 250, 250), (225, 225, 225)),
    "gray": ((75, 75, 75), (115, 115, 115), (160, 160, 160), (192, 192, 192)),
    "red": ((215, 25, 30), (150, 20, 25), (235, 65, 60), (100, 15, 20)),
    "orange": ((245, 130, 25), (235, 105, 35), (250, 160, 70)),
    "yellow": ((250, 220, 40), (215, 185, 45), (250, 235, 120)),
    "green": ((35, 150, 50), (25, 85, 35), (120, 185, 70), (85, 110, 55), (70, 190, 120)),
    "cyan": ((40, 190, 195), (25, 130, 140), (140, 225, 225)),
    "blue": ((35, 70, 205), (25, 40, 110), (75, 135, 225), (150, 190, 235)),
    "purple": ((125, 45, 160), (80, 35, 100), (165, 110, 200)),
    "pink": ((250, 155, 185), (230, 75, 150), (245, 195, 205)),
    "brown": ((110, 65, 35), (72, 45, 28), (150, 100, 60), (180, 140, 100)),
}
"""Shades of each colour, sRGB of 0 to 255."""

_OTHER_WORDS = {
    "violet": "purple",
    "turquoise": "cyan",
    "teal": "cyan",
    "navy": "blue",
    "crimson": "red",
    "scarlet": "red",
    "maroon": "red",
    "magenta": "pink",
    "beige": "brown",
    "tan": "brown",
    "golden": "yellow",
    "silver": "gray",
}

_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_LIGHTNESS = 0.5  # its weight beside hue and chroma: a red thing has lit and shaded sides
_SPREAD = 0.05  # of the soft assignment to a shade
_CENTRE = 0.25  # spread of the weight of the middle, of the image's side
_SALIENCE = 6.0  # how much more a vivid pixel counts: backgrounds are mostly dull
_CHROMA = 0.1  # of a vivid pixel
_CELLS = 28  # pixels on a side that are compared


def color_directions() -> dict[str, np.ndarray]:
    """Return what each colour's word looks for: unit vectors (c,), one direction a colour."""
    found = dict(zip(PALETTE, np.eye(len(PALETTE), dtype=np.float32), strict=True))
    return found | {word: found[color] for word, color in _OTHER_WORDS.items()}


class ColorNames(nn.Module):
    """An encoder's pixels (b, 3, side, side) → shares of the colours (b, c), of length 1.

    factor and shift: what brings an encoder's pixels back to 0..1, for each channel.
    """

    palette: Tensor
    colors: Tensor
    factor: Tensor
    shift: Tensor
    centre: Tensor

    def __init__(self, side: int, factor: Sequence[float], shift: Sequence[float]) -> None:
        super().__init__()
        self.pool = max(1, side // _CELLS)
        shades = torch.tensor([shade for each in PALETTE.values() for shade in each]) / 255
        self.register_buffer("palette", _scaled(_oklab(shades)))
        counts = torch.tensor([len(each) for each in PALETTE.values()])
        colors = torch.eye(len(counts)).repeat_interleave(counts, dim=0)
        self.register_buffer("colors", colors)
        self.register_buffer("factor", torch.tensor(factor)[:, None, None])
        self.register_buffer("shift", torch.tensor(shift)[:, None, None])
        cells = side // self.pool
        along = (torch.arange(cells) + 0.5) / cells - 0.5
        middle = torch.exp(-(along**2) / (2 * _CENTRE**2))
        self.register_buffer("centre", (middle[:, None] * middle).flatten())

    def forward(self, pixels: Tensor) -> Tensor:
        """Weigh the colours of an image, its middle and its vivid pixels more than the others."""
        rgb = F.avg_pool2d(pixels * self.factor + self.shift, self.pool).flatten(2).transpose(1, 2)
        lab = _oklab(rgb.clamp(0, 1))
        scaled = _scaled(lab)
        # |x − y|² without |x|², which is the same for all shades.
        far = (self.palette**2).sum(dim=-1) - 2 * scaled @ self.palette.T
        shares = torch.softmax(-far / (2 * _SPREAD**2), dim=-1)
        chroma = (lab[..., 1:] ** 2).sum(dim=-1).sqrt()
        weights = self.centre * (1 + _SALIENCE * chroma / _CHROMA)
        return F.normalize((weights[:, None] @ shares)[:, 0] @ self.colors, dim=-1)


def _oklab(rgb: Tensor) -> Tensor:
    """SRGB (..., 3) in 0..1 → OKLab (..., 3)."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = linear @ torch.tensor(_TO_CONES).T
    return cones.clamp(min=1e-9) ** (1 / 3) @ torch.tensor(_TO_LAB).T


def _scaled(lab: Tensor) -> Tensor:
    return lab * torch.tensor([_LIGHTNESS, 1.0, 1.0])
