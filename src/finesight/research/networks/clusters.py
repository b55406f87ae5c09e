"""Salient clusters: a fusion of ours that learns which regions are background or say the same.

Shapes: b images, p regions, k vectors, d width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.fusion_base import FusionNetwork, FusionSettings, Place


class SalientClusters(FusionNetwork):
    """A spherical k-means of the regions whose weights are learned.

    A region's weight says how much of it is worth keeping. It begins as what the best of some
    directions that stand for things has more than the best of those that stand for nothing; for
    things that no direction names, how little stands for nothing, scaled by the distance from the
    mean region. A small transformer over all regions changes it by a factor. A few rounds of soft
    assignment then move k centres from the weightiest, farthest regions. For any k the same weights
    serve, and a centre is never anything but a mean of regions: words that no training named keep
    their meaning.
    """

    any_number = True
    rounds = 4

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        width, hidden = settings.width, 128
        self.read = nn.Linear(width + 3, hidden)
        self.place = Place(hidden) if settings.geometry else None
        layer = nn.TransformerEncoderLayer(
            hidden, 4, 2 * hidden, settings.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.around = nn.TransformerEncoder(
            layer, 2, nn.LayerNorm(hidden), enable_nested_tensor=False
        )
        self.weigh = nn.Linear(hidden, 1)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)
        self.log_temperature = nn.Parameter(torch.tensor(0.05).log())
        things, nothings = settings.directions
        self.things = nn.Parameter(torch.zeros(things, width))
        self.nothings = nn.Parameter(torch.zeros(nothings, width))
        self.nameless = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def begin(self, things: Tensor, nothings: Tensor, nameless: float) -> None:
        """Set the directions for things (n, d) and nothing (m, d), such as texts' embeddings.

        nameless: the cosine to nothing below which a region shows something.
        """
        self.things.copy_(things)
        self.nothings.copy_(nothings)
        self.nameless.fill_(nameless)

    def worth(self, regions: Tensor, apart: Tensor) -> Tensor:
        """What each region is worth by itself: (b, p); apart: its distance from the mean."""
        if not len(self.things):
            return apart.square()
        nothing = (regions @ self.nothings.T).amax(dim=-1)
        named = (regions @ self.things.T).amax(dim=-1)
        return F.relu(named - nothing) + F.relu(self.nameless - nothing) * apart

    def weights(self, regions: Tensor, there: Tensor, boxes: Tensor) -> Tensor:
        """How much each region is worth keeping: (b, p), 0 where there is none.

        Without directions it begins as the squared distance from the mean of the regions, much as
        the training-free clusters have it.
        """
        mask = there[..., None].to(regions.dtype)
        mean = F.normalize((regions * mask).sum(dim=1, keepdim=True), dim=-1)
        apart = (1 - (regions * mean).sum(-1)).clamp(min=1e-4)
        alike = torch.where(there[:, None], regions @ regions.transpose(1, 2), -1.0)
        nearest = alike.topk(min(2, regions.shape[1]), dim=-1).values
        hints = torch.stack([apart, nearest[..., -1], (regions * regions[:, :1]).sum(-1)], dim=-1)
        seen = self.read(torch.cat([regions, hints], dim=-1))
        if self.place is not None:
            seen = seen + self.place(boxes)
        seen = self.around(seen, src_key_padding_mask=~there)
        change = self.weigh(seen)[..., 0].clamp(-8, 8)
        return (self.worth(regions, apart) + 1e-6) * change.exp() * mask[..., 0]

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Arguments as of EncoderDecoder → (b, k, d); `starts` may bring the first centres."""
        weights = self.weights(regions, there, boxes)
        count = self.vectors if starts is None else starts.shape[1]
        if count == 1:
            return F.normalize(weights[:, None] @ regions, dim=-1)
        centres = farthest(regions, weights, count) if starts is None else starts
        for _ in range(self.rounds):  # every centre to the mean of what is (softly) its own
            cosines = regions @ centres.transpose(1, 2)
            shares = (cosines / self.log_temperature.exp()).softmax(dim=-1) * weights[..., None]
            centres = F.normalize(shares.transpose(1, 2) @ regions, dim=-1)
        return centres


@torch.no_grad()
def farthest(regions: Tensor, weights: Tensor, count: int) -> Tensor:
    """The weightiest region, then each time the one farthest from those chosen: (b, k, d).

    Distances are scaled by the square root of the weights, as in the training-free clusters.
    """
    scale = weights.sqrt()
    chosen = [scale.argmax(dim=1)]
    rows = torch.arange(len(regions), device=regions.device)
    nearest = torch.full_like(weights, -1.0)
    while len(chosen) < count:
        last = regions[rows, chosen[-1]]
        nearest = torch.maximum(nearest, (regions @ last[..., None])[..., 0])
        chosen.append(((1 - nearest).clamp(min=0) * scale).argmax(dim=1))
    return regions[rows[:, None], torch.stack(chosen, dim=1)]
