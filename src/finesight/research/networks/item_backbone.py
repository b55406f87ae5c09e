"""A vision transformer of the `transformers` library as the tower under items (networks.items).

Its patch tokens are the feature map, and an object is the patches pooled inside its box: the mean
of all patches is how BEiT-2 makes its global token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class TransformerTower(nn.Module):
    """A model with patch tokens: pixels (b, 3, s, s) → map (b, c, h, h) → embeddings (b, d).

    vision: such as transformers' CLIPVisionModel, ViTModel or BeitModel; project: from its width c
    to d, such as CLIP's own projection; before, after: mean and deviation (3,) of the pixels as the
    caller normalises them and as the model wants them, of values between 0 and 1.
    """

    def __init__(
        self,
        vision: nn.Module,
        project: nn.Linear,
        before: tuple[Sequence[float], Sequence[float]],
        after: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        super().__init__()
        self.vision, self.project = vision, project
        old, new = (
            [torch.tensor(part)[:, None, None] for part in each] for each in (before, after)
        )
        self.register_buffer("scale", old[1] / new[1])
        self.register_buffer("shift", (old[0] - new[0]) / new[1])

    def features(self, pixels: Tensor) -> Tensor:
        """Pixels (b, 3, s, s) → the patch tokens as a map (b, c, h, h), without class tokens."""
        scale, shift = self.get_buffer("scale"), self.get_buffer("shift")
        output: Any = self.vision(pixel_values=pixels * scale + shift)
        tokens: Tensor = output.last_hidden_state
        side = int(tokens.shape[1] ** 0.5)
        patches = tokens[:, tokens.shape[1] - side * side :]
        return patches.transpose(1, 2).unflatten(2, (side, side))
