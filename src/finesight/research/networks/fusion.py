"""Networks that fuse the regions of an image into a few vectors of the same space.

The encoder-decoder is DetailCLIP's (METHODS.md 1; the paper's section 3.3 and Table 11), beside the
simpler ones it names. `SalientClusters` is ours: it learns which regions are background and which
say the same, and leaves what they say as it is.

Shapes: b images, p regions, k vectors, d width. Region 0 is the whole image and always there, so
that no row is masked everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZES = {"tiny": (2, 3), "small": (4, 6), "base": (8, 12)}
"""Heads, and layers of encoder and of decoder, by the paper's names; tiny is its main model."""

GEOMETRY = 6  # numbers that say where a region is: centre, sides, and the logarithms of the sides


@dataclass(frozen=True)
class FusionSettings:
    """What a fusion network is.

    kind: one of KINDS; vectors: k, where the network itself decides it; size: of the transformer;
    residual: it adds to the whole-image embedding, from nothing at the start; geometry: it knows
    where the regions are; feed_forward: the width of the transformer's hidden layer; directions: of
    the clusters and the table, how many stand for things and, of clusters, how many for nothing.
    """

    kind: str
    width: int
    vectors: int = 1
    size: str = "tiny"
    residual: bool = False
    geometry: bool = False
    feed_forward: int = 2048
    dropout: float = 0.1
    directions: tuple[int, int] = (0, 0)


class FusionNetwork(nn.Module):
    """What every kind has: `vectors` is k, which may be set anew where `any_number` says so."""

    any_number = False

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__()
        self.settings = settings
        self.vectors = settings.vectors


def build_fusion(settings: FusionSettings) -> FusionNetwork:
    """Return the network that settings describe; raises KeyError for an unknown kind or size."""
    return KINDS[settings.kind](settings)


class EncoderDecoder(FusionNetwork):
    """DetailCLIP's fusion: regions through an encoder, the whole image through a decoder.

    For k > 1 the decoder gets k queries: the whole image plus k learned offsets, or `starts`.
    """

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        heads, layers = SIZES[settings.size]
        options: dict[str, Any] = {
            "dim_feedforward": settings.feed_forward,
            "dropout": settings.dropout,
            "activation": "gelu",
            "batch_first": True,
        }
        width = settings.width
        encoder = nn.TransformerEncoderLayer(width, heads, **options)
        decoder = nn.TransformerDecoderLayer(width, heads, **options)
        norm = nn.LayerNorm
        self.encoder = nn.TransformerEncoder(
            encoder, layers, norm(width), enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(decoder, layers, norm(width))
        self.place = _Place(width) if settings.geometry else None
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

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Arguments as of EncoderDecoder → (b, 1, d)."""
        scores = self.scale * self.score(regions)[..., 0]
        shares = scores.masked_fill(~there, float("-inf")).softmax(dim=1)
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

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Arguments as of EncoderDecoder → (b, 1, d)."""
        counts = there.sum(dim=1, keepdim=True)
        mean = (regions * there[..., None]).sum(dim=1) / counts
        found = self.layers(torch.cat([regions[:, 0], mean], dim=-1))
        return F.normalize(regions[:, 0] + found if self.residual else found, dim=-1)[:, None]


class AttentionPooling(FusionNetwork):
    """k learned queries that each read the regions once, with several heads."""

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        heads, _ = SIZES[settings.size]
        width = settings.width
        self.queries = nn.Parameter(torch.randn(settings.vectors, width) / width**0.5)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.place = _Place(width) if settings.geometry else None

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Arguments as of EncoderDecoder → (b, k, d)."""
        queries = self.queries.expand(regions.shape[0], -1, -1) if starts is None else starts
        keys = regions if self.place is None else regions + self.place(boxes)
        found, _ = self.attention(
            queries, keys, regions, key_padding_mask=~there, need_weights=False
        )
        return F.normalize(found, dim=-1)


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
        self.place = _Place(hidden) if settings.geometry else None
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
        for _ in range(self.rounds):
            centres = self.round(regions, weights, centres)
        return centres

    def round(self, regions: Tensor, weights: Tensor, centres: Tensor) -> Tensor:
        """Move every centre to the weighted mean of the regions that are (softly) its own."""
        cosines = regions @ centres.transpose(1, 2)
        shares = (cosines / self.log_temperature.exp()).softmax(dim=-1)
        return F.normalize((shares * weights[..., None]).transpose(1, 2) @ regions, dim=-1)


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

    def forward(
        self, regions: Tensor, there: Tensor, boxes: Tensor, starts: Tensor | None = None
    ) -> Tensor:
        """Arguments as of EncoderDecoder → (b, 1, d)."""
        scores = (regions @ self.texts.T).masked_fill(~there[..., None], -2.0).amax(dim=1)
        seen = (scores - self.typical) @ self.inverse.T
        length = seen.norm(dim=-1, keepdim=True).clamp(min=1e-9)
        seen = seen * (self.largest / length).clamp(max=1.0)
        rest = F.normalize(regions[:, 0] @ self.unseen, dim=-1)
        return (seen + (1 - seen.square().sum(-1, keepdim=True)).sqrt() * rest)[:, None]


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


class _Place(nn.Module):
    """Where a region is and how large, as a vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(GEOMETRY, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, boxes: Tensor) -> Tensor:
        """Boxes (b, p, 4) → (b, p, width)."""
        sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
        centres = (boxes[..., 2:] + boxes[..., :2]) / 2
        return self.layers(torch.cat([centres, sides, sides.log()], dim=-1))


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
