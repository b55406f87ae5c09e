"""The score table: a fusion into one vector that repeats the scores of some texts.

Shapes: b images, p regions, n images that it is filled from, t texts, d width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from finesight.research.networks.fusion_base import FusionNetwork, FusionSettings


class ScoreTable(FusionNetwork):
    """One vector that ranks images for some texts exactly as the best of all regions does.

    The query proxy loss asks a unit vector F for s = max_p T·P_p, which no unit vector can give
    where many texts T are close to something. But a ranking needs less: for each text, the same
    increasing function of s in every image. So

        F = a T⁺(s − m) + √(1 − |a T⁺(s − m)|²) n,   T F = a (s − m)

    with m what a text typically gets, T⁺ the pseudo-inverse, n the whole-image embedding's part
    that no text sees (normalised), which levels the norm of every image, and a so small that the
    root is real. It holds for at most d − 1 independent texts; what others find is left to n.
    Padding to one norm is Bachrach et al. 2014, "Speeding Up the Xbox Recommender System".
    """

    largest = 0.98  # of |a T⁺(s − m)|: the rare image beyond is scaled down to it
    texts: Tensor
    typical: Tensor
    inverse: Tensor
    unseen: Tensor

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        count, width = settings.directions[0], settings.width
        self.register_buffer("texts", torch.zeros(count, width))
        self.register_buffer("typical", torch.zeros(count))
        self.register_buffer("inverse", torch.zeros(width, count))
        self.register_buffer("unseen", torch.eye(width))

    @torch.no_grad()
    def begin(self, texts: Tensor, scores: Tensor) -> None:
        """Set the texts (t, d) and, from their best scores (n, t) in some images, m and a."""
        left, sizes, right = torch.linalg.svd(texts.double(), full_matrices=False)
        inverse = (right.T / sizes) @ left.T
        typical = scores.double().mean(dim=0)
        lengths = ((scores.double() - typical) @ inverse.T).norm(dim=-1)
        strength = self.largest / lengths.quantile(0.99)
        self.texts.copy_(texts)
        self.typical.copy_(typical)
        self.inverse.copy_(strength * inverse)
        self.unseen.copy_(torch.eye(texts.shape[1]) - right.T @ right)

    def forward(self, regions: Tensor, there: Tensor, boxes: Tensor) -> Tensor:
        """Arguments as of EncoderDecoder → (b, 1, d)."""
        scores = (regions @ self.texts.T).masked_fill(~there[..., None], -2.0).amax(dim=1)
        seen = (scores - self.typical) @ self.inverse.T
        length = seen.norm(dim=-1, keepdim=True).clamp(min=1e-9)
        seen = seen * (self.largest / length).clamp(max=1.0)
        rest = F.normalize(regions[:, 0] @ self.unseen, dim=-1)
        return (seen + (1 - seen.square().sum(-1, keepdim=True)).sqrt() * rest)[:, None]
