"""How well the small model names objects that it has not seen, by their share of a crop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from finesight.training.augmentation import normalise
from finesight.training.concepts import Concepts
from finesight.training.crops import Scene, centered_window, cut

FILLS = (1.0, 0.4, 0.2)
Encode = Callable[[Tensor], Tensor]


class ObjectNaming:
    """Every object of some scenes, centred in crops whose side it fills by 1, 0.4, and 0.2."""

    def __init__(self, scenes: list[Scene], concepts: Concepts, side: int) -> None:
        self.concepts = concepts
        places = [(scene, i) for scene in scenes for i in range(len(scene.boxes))]
        self.kinds = np.array([scene.kinds[i] for scene, i in places])
        self.crops = {
            fill: np.stack(
                [
                    cut(s.image, centered_window(s.boxes[i], fill, s.limits[i]), side)
                    for s, i in places
                ]
            )
            for fill in FILLS
        }

    def captions(self) -> list[str]:
        """The prompts that are compared: every class, then every class in every colour."""
        said = [c for c in self.concepts.all if c.kind in ("class", "pair")]
        return [f"a photo of a {' '.join(filter(None, (c.color, c.class_name)))}" for c in said]

    @torch.inference_mode()
    def scores(self, encode: Encode, captions: Tensor) -> dict[str, float]:
        """Shares of objects named right: `class@fill` among classes, `color@fill` among colours.

        `captions` are the embeddings of `captions()`, in its order.
        """
        count, colors = len(self.concepts.classes), len(self.concepts.colors)
        texts = F.normalize(captions, dim=-1)
        classes = torch.from_numpy(self.kinds[:, 0] - 2)
        hues = torch.from_numpy(self.kinds[:, 1] - 2 - count)
        found = {}
        for fill, crops in self.crops.items():
            images = torch.cat([encode(normalise(part)) for part in torch.tensor(crops).split(256)])
            similar = F.normalize(images, dim=-1) @ texts.T
            named = similar[:, :count].argmax(dim=1)
            painted = similar[:, count:].unflatten(1, (count, colors))
            hue = painted[torch.arange(len(classes)), classes].argmax(dim=1)
            found[f"class@{fill:g}"] = (named == classes).float().mean().item()
            found[f"color@{fill:g}"] = (hue == hues).float().mean().item()
        return found
