"""How well the small model names objects that it has not seen, by their share of a crop."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from finesight.research.training.encoder.augmentation import normalise
from finesight.research.training.encoder.concepts import Concepts
from finesight.research.training.encoder.crops import Scene, centered_window, cut

FILLS = (0.9, 0.3)
SMALLEST = 24  # pixels of a box's longer side
Encode = Callable[[Tensor], Tensor]


class ObjectNaming:
    """Objects of 24 px and more, each alone in a centred crop, as in a true box and from afar.

    They fill 0.9 or 0.3 of its side. A crop that would reach beyond the image or that shows a
    second object is left out.
    """

    def __init__(self, scenes: list[Scene], concepts: Concepts, side: int) -> None:
        self.concepts = concepts
        self.crops: dict[float, NDArray[np.uint8]] = {}
        self.kinds: dict[float, NDArray[np.int64]] = {}
        places = [(scene, i) for scene in scenes for i in range(len(scene.boxes))]
        for fill in FILLS:
            cuts = ((s, i, centered_window(s.boxes[i], fill, s.limits[i])) for s, i in places)
            chosen = [each for each in cuts if _alone(*each, fill)]
            if chosen:
                self.crops[fill] = np.stack([cut(s.image, window, side) for s, _, window in chosen])
                self.kinds[fill] = np.array([s.kinds[i] for s, i, _ in chosen])

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
        found = {}
        for fill, crops in self.crops.items():
            classes = torch.from_numpy(self.kinds[fill][:, 0] - 2)
            hues = torch.from_numpy(self.kinds[fill][:, 1] - 2 - count)
            images = torch.cat([encode(normalise(part)) for part in torch.tensor(crops).split(256)])
            similar = F.normalize(images, dim=-1) @ texts.T
            named = similar[:, :count].argmax(dim=1)
            painted = similar[:, count:].unflatten(1, (count, colors))
            hue = painted[torch.arange(len(classes)), classes].argmax(dim=1)
            found[f"class@{fill:g}"] = (named == classes).float().mean().item()
            found[f"color@{fill:g}"] = (hue == hues).float().mean().item()
        return found


def _alone(scene: Scene, index: int, window: NDArray[np.float64], fill: float) -> bool:
    sizes = scene.boxes[index][2:] - scene.boxes[index][:2]
    if sizes.max() < SMALLEST:  # too few pixels for anyone
        return False
    if sizes.max() > 1.05 * fill * (window[2] - window[0]):  # the image ended the crop
        return False
    others = np.delete(scene.boxes, index, axis=0)
    return not ((others[:, :2] < window[2:]) & (others[:, 2:] > window[:2])).all(axis=1).any()
