"""Networks that fuse the regions of an image into a few vectors of the same space.

The encoder-decoder is DetailCLIP's (METHODS.md 1; the paper's section 3.3 and Table 11), beside the
simpler ones it names. Those of ours are in clusters.py and score_table.py.

Shapes: b images, p regions, k vectors, d width. Region 0 is the whole image and always there, so
that no row is masked everywhere.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.clusters import SalientClusters
from finesight.research.networks.fusion_base import FusionNetwork, FusionSettings, Place
from finesight.research.networks.masking import masked_mean, masked_softmax
from finesight.research.networks.score_table import ScoreTable

SIZES = {"tiny": (2, 3), "small": (4, 6), "base": (8, 12)}
"""Heads, and layers of encoder and of decoder, by the paper's names; tiny is its main model."""

__all__ = ["KINDS", "SIZES", "FusionNetwork", "FusionSettings", "build_fusion"]


def build_fusion(settings: FusionSettings) -> FusionNetwork:
    """Return the network that settings describe; raises KeyError for an unknown kind or size."""
    return KINDS[settings.kind](settings)


class EncoderDecoder(FusionNetwork):
    """DetailCLIP's fusion: regions through an encoder, the whole image through a decoder.

    For k > 1 the decoder gets k queries: the whole image plus k learned offsets, or `starts`.
    """

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        heads, count = SIZES[settings.size]
        width = settings.width
        sizes = width, heads, settings.feed_forward, settings.dropout, "gelu"
        layer = nn.TransformerEncoderLayer(*sizes, batch_first=True)
        decoder = nn.TransformerDecoderLayer(*sizes, batch_first=True)
        norm = nn.LayerNorm
        self.encoder = nn.TransformerEncoder(layer, count, norm(width), enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoder, count, norm(width))
        self.place = Place(width) if settings.geometry else None
        self.queries = nn.Parameter(0.02 * torch.randn(settings.vectors, width))
        self.out = nn.Linear(width, width) if settings.residual else None
        if self.out is not None:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Regions (b, p, d), there (b, p), boxes (b, p, 4), starts (b, k, d) → (b, k, d)."""
        source = regions if self.place is None else regions + self.place(boxes)
        memory = self.encoder(source, src_key_padding_mask=~there)
        begin = regions[:, :1] if starts is None else starts
        target = begin + self.queries if starts is None else begin
        found = self.decoder(target, memory, memory_key_padding_mask=~there)
        if self.out is not None:
            found = begin + self.out(found)
        return F.normalize(found, dim=-1)


class LearnedWeights(FusionNetwork):
    """The mean of the regions, weighted by a learned function of each."""

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        self.score = nn.Linear(settings.width, 1)
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, regions: Tensor, there: Tensor, boxes: Tensor) -> Tensor:
        """Arguments as of EncoderDecoder → (b, 1, d)."""
        shares = masked_softmax(self.scale * self.score(regions)[..., 0], there, dim=1)
        return F.normalize(shares[:, None] @ regions, dim=-1)


class Projection(FusionNetwork):
    """A linear map, or a network of two layers, of the whole image beside the regions' mean."""

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        width = settings.width
        self.residual = settings.residual
        last = nn.Linear(2 * width if settings.kind == "linear" else 4 * width, width)
        hidden = () if settings.kind == "linear" else (nn.Linear(2 * width, 4 * width), nn.GELU())
        self.layers = nn.Sequential(*hidden, last)
        if settings.residual:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, regions: Tensor, there: Tensor, boxes: Tensor) -> Tensor:
        """Arguments as of EncoderDecoder → (b, 1, d)."""
        found = self.layers(torch.cat([regions[:, 0], masked_mean(regions, there)], dim=-1))
        return F.normalize(regions[:, 0] + found if self.residual else found, dim=-1)[:, None]


class AttentionPooling(FusionNetwork):
    """k learned queries that each read the regions once, with several heads."""

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        heads, _ = SIZES[settings.size]
        width = settings.width
        self.queries = nn.Parameter(torch.randn(settings.vectors, width) / width**0.5)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.place = Place(width) if settings.geometry else None

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Arguments as of EncoderDecoder → (b, k, d)."""
        asked = self.queries.expand(regions.shape[0], -1, -1) if starts is None else starts
        keys = regions if self.place is None else regions + self.place(boxes)
        found, _ = self.attention(asked, keys, regions, key_padding_mask=~there, need_weights=False)
        return F.normalize(found, dim=-1)


KINDS: dict[str, type[FusionNetwork]] = {
    "transformer": EncoderDecoder,
    "weights": LearnedWeights,
    "linear": Projection,
    "mlp": Projection,
    "attention": AttentionPooling,
    "clusters": SalientClusters,
    "table": ScoreTable,
}
"""The networks by the name of their kind."""
