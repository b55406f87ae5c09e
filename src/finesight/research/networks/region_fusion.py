"""Region fusion: the whole image asks its regions, before any query is known.

"Region-fused, query-agnostic retrieval" (METHODS.md 2). The embedding I (b, d) of the whole image
is the query, the regions X̂ (b, p, d), projected where they come from another space, are keys and
values of a block

    q = LN(I),  k = v = LN(X̂),  Y = I + MHSA(q, k, v),  Ŷ = Y + FFN(Y)

that may be stacked, each with the last one's Ŷ as its I. An image stays one vector, and a query
costs one product per image. On the text side stands the frozen encoder with a linear head. The
baseline, the linear probe, has a linear head on either side and sees the whole image alone.

Both are fusions of k = 1: `finesight index` uses them as any other.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.fusion import FusionNetwork, FusionSettings


@dataclass(frozen=True)
class RegionFusionSettings(FusionSettings):
    """What a fusion with a text head is.

    kind: "region-fusion" or "linear-probe"; blocks, heads: of the attention; region_width: of the
    regions where they are not of the image's own space, else 0.
    """

    blocks: int = 1
    heads: int = 8
    region_width: int = 0


class CrossAttentionBlock(nn.Module):
    """One block of the equations above."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(width)
        self.region_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feed = nn.Sequential(
            nn.Linear(width, feed_forward),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(feed_forward, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, whole: Tensor, regions: Tensor, there: Tensor) -> Tensor:
        """Whole (b, 1, d), regions (b, p, d), there (b, p) → (b, 1, d)."""
        keys = self.region_norm(regions)
        found, _ = self.attention(
            self.query_norm(whole), keys, keys, key_padding_mask=~there, need_weights=False
        )
        seen = whole + self.dropout(found)
        return seen + self.dropout(self.feed(seen))


class RegionFusion(FusionNetwork):
    """The stacked blocks; region 0 is the whole image, and among the regions that are asked."""

    def __init__(self, settings: RegionFusionSettings) -> None:
        super().__init__(settings)
        width = settings.width
        other = settings.region_width
        self.project = nn.Linear(other, width) if other else nn.Identity()
        self.blocks = nn.ModuleList(
            CrossAttentionBlock(width, settings.heads, settings.feed_forward, settings.dropout)
            for _ in range(settings.blocks)
        )

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Regions (b, p, d), there (b, p); boxes are not used → (b, 1, d), of length 1.

        starts: the whole image's embedding (b, 1, d), where the regions are of another space.
        """
        seen = regions[:, :1] if starts is None else starts
        keys = self.project(regions)
        for block in self.blocks:
            seen = block(seen, keys, there)
        return F.normalize(seen, dim=-1)


class LinearProbe(FusionNetwork):
    """A linear head on the embedding of the whole image."""

    def __init__(self, settings: RegionFusionSettings) -> None:
        super().__init__(settings)
        self.head = identity_head(settings.width)

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Arguments as of RegionFusion → (b, 1, d), of length 1."""
        return F.normalize(self.head(regions[:, :1] if starts is None else starts), dim=-1)


class WithTextHead(nn.Module):
    """A fusion, the linear head over the text embeddings, and the temperature of the loss."""

    def __init__(self, settings: RegionFusionSettings) -> None:
        super().__init__()
        self.fusion = IMAGE_SIDES[settings.kind](settings)
        self.head = identity_head(settings.width)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def texts(self, embeddings: Tensor) -> Tensor:
        """Text embeddings (t, d) → query vectors (t, d), of length 1."""
        return F.normalize(self.head(embeddings), dim=-1)

    def forward(
        self,
        regions: Tensor,
        there: Tensor,
        boxes: Tensor,
        embeddings: Tensor,
        starts: Tensor | None = None,
    ) -> Tensor:
        """Cosines (b, t) of images and texts; arguments as of RegionFusion and `texts`."""
        return self.fusion(regions, there, boxes, starts)[:, 0] @ self.texts(embeddings).T


def identity_head(width: int) -> nn.Linear:
    """A linear layer that begins as the identity: training starts at what the encoder knows."""
    head = nn.Linear(width, width)
    nn.init.eye_(head.weight)
    nn.init.zeros_(head.bias)
    return head


IMAGE_SIDES: dict[str, type[RegionFusion] | type[LinearProbe]] = {
    "region-fusion": RegionFusion,
    "linear-probe": LinearProbe,
}
"""Fusions that are trained with a text head, by the name of their kind."""
