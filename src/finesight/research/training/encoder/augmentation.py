"""Changes to a batch of crops that leave true what is said about them."""

import torch
from torch import Tensor

MEAN = STD = 0.5  # of the pixel values once they are between 0 and 1


def normalise(pixels: Tensor) -> Tensor:
    """Pixels (b, side, side, 3) in uint8 → (b, 3, side, side) around 0, in channels-last memory."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror, relight, tint and roughen crops (b, 3, side, side) that `normalise` returned."""
    mirrored = torch.rand(len(pixels), 1, 1, 1, generator=generator) < 0.5
    return relight(torch.where(mirrored, pixels.flip(3), pixels), generator)


def relight(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Change light and tint of crops that `normalise` returned, and roughen them.

    Tints stay far below the distance of two named colours.
    """
    count = len(pixels)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    light = uniform(0.85, 1.18, 1, 1, 1) * uniform(0.96, 1.04, 3, 1, 1)
    values = (pixels * STD + MEAN) * light + uniform(-0.04, 0.04, 1, 1, 1)
    noise = torch.randn(pixels.shape, generator=generator) * uniform(0, 0.02, 1, 1, 1)
    changed = ((values + noise).clamp(0, 1) - MEAN) / STD
    return changed.contiguous(memory_format=torch.channels_last)
