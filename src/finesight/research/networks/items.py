"""The network of image-to-image retrieval with captions and objects (METHODS.md 5).

A vision tower gives a feature map; an object is the features pooled inside its box, and the item
head says which item it is. A text tower and a cross-modal encoder, of use in training only, tie
both to captions: do image and caption belong together, where is what the caption names, which word
is hidden.

Shapes: b views of an object (a part of a photo around it), c channels, h × w cells, d the width of
region and item embeddings, t texts, l words, v words in the vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.masking import attend
from finesight.research.networks.small_clip import SmallClipSettings, TextTower, two_layers

HIDDEN = 256  # of the head: thousands of stored regions go through it for a query
CAPTION_SHARPNESS = 30.0  # of the choice between captions, chosen on items-val like the weight
CAPTION_WEIGHT = 0.3  # of captions, beside 1 for what is seen


@dataclass(frozen=True)
class ItemSettings:
    """Sizes of what is trained beside the vision tower.

    width: d; channels: c; vocabulary: v; cells: a side of the map that the cross-modal encoder
    sees; hidden: of the head; layers, heads: of the cross-modal encoder; text: width of the words'
    states; longest_text: in tokens.
    """

    width: int
    channels: int
    vocabulary: int
    cells: int = 4
    hidden: int = HIDDEN
    layers: int = 2
    heads: int = 4
    text: int = 128
    longest_text: int = 64


class ItemHeadNetwork(nn.Module):
    """Region embeddings (n, d) → item embeddings (n, e), of length 1.

        z = normalise(r + W₂ gelu(W₁ r))

    It begins as the identity (W₂ = 0), so that training starts from what the encoder knows. With
    embeddings T (t, d) of captions that items may have, it also says which of them is true:

        p = softmax(30 T z),   item = (z, √(.3 p)) / √1.3

    so that the cosine of two items is that of what is seen of them and the Bhattacharyya
    coefficient of the captions that they would have. e is d, or d + t.
    """

    captions: Tensor | None

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("captions", None)
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)
        # Regions are of length 1: without this the first layer would hardly bend.
        self.spread = math.sqrt(width)

    def forward(self, regions: Tensor) -> Tensor:
        """Embed regions, which are of length 1."""
        changed = self.second(F.gelu(self.first(regions * self.spread)))
        seen = F.normalize(regions + changed, dim=-1)
        if self.captions is None:
            return seen
        likely = (CAPTION_SHARPNESS * seen @ self.captions.T).softmax(dim=-1)
        return torch.cat([seen, (CAPTION_WEIGHT * likely).sqrt()], dim=-1) / math.sqrt(
            1 + CAPTION_WEIGHT
        )

    @property
    def width(self) -> int:
        """Numbers of an item embedding."""
        return self.first.in_features + (0 if self.captions is None else len(self.captions))


class CrossLayer(nn.Module):
    """Self-attention of the words, attention to the image's parts, feed-forward; each pre-norm.

    Shapes here: b texts, each beside its image; w words; p parts of an image; d width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.within = nn.Linear(width, 3 * width)
        self.within_merge = nn.Linear(width, width)
        self.ask = nn.Linear(width, width)
        self.answer = nn.Linear(width, 2 * width)
        self.ask_merge = nn.Linear(width, width)
        self.feed = two_layers(width, 2 * width, width)

    def forward(self, words: Tensor, there: Tensor, parts: Tensor) -> Tensor:
        """Words (b, w, d), which there are (b, 1, 1, w), parts (b, p, d) → words (b, w, d)."""
        query, key, value = self.within(self.norms[0](words)).chunk(3, dim=-1)
        words = words + self.within_merge(attend(query, key, value, self.heads, there))
        key, value = self.answer(parts).chunk(2, dim=-1)
        asked = self.ask(self.norms[1](words))
        words = words + self.ask_merge(attend(asked, key, value, self.heads, None))
        return words + self.feed(self.norms[2](words))


class CrossModalEncoder(nn.Module):
    """Some layers over the words' states; what it says of the pair stands at the first word."""

    def __init__(self, width: int, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.parts_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(CrossLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, words: Tensor, mask: Tensor, parts: Tensor) -> Tensor:
        """Words (b, w, d), mask (b, w), parts (b, p, d) → words that saw the image (b, w, d).

        The first word must be there in every text, as the begin token is.
        """
        parts, there = self.parts_norm(parts), mask.bool()[:, None, None, :]
        for layer in self.layers:
            words = layer(words, there, parts)
        return self.norm(words)


class ItemNetwork(nn.Module):
    """The heads, the text tower and the cross-modal encoder over the maps of a vision tower."""

    def __init__(self, settings: ItemSettings) -> None:
        super().__init__()
        self.settings = settings
        words = SmallClipSettings(
            settings.vocabulary,
            width=settings.width,
            text_width=settings.text,
            longest_text=settings.longest_text,
        )
        self.head = ItemHeadNetwork(settings.width, settings.hidden)
        self.text = TextTower(words)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.of_cells = nn.Linear(settings.channels, settings.text)
        self.of_item = nn.Linear(settings.width, settings.text)
        self.places = nn.Parameter(0.02 * torch.randn(settings.cells**2, settings.text))
        self.cross = CrossModalEncoder(settings.text, settings.layers, settings.heads)
        self.matching = nn.Linear(settings.text, 1)
        self.box = two_layers(settings.text, settings.text, 4)
        self.word = nn.Linear(settings.text, settings.vocabulary)

    def texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and mask (t, l) → text embeddings (t, d), of length 1."""
        return F.normalize(self.text(ids, mask), dim=-1)

    def scale(self) -> Tensor:
        """1 / temperature of the image–text cosines; the temperature stays within [.001, .5]."""
        return self.log_scale.clamp(math.log(1 / 0.5), math.log(1 / 0.001)).exp()

    def parts(self, features: Tensor, items: Tensor) -> Tensor:
        """Feature maps (b, c, h, w) and the views' items (b, d) → parts (b, 1 + cells², text).

        Maps are pooled to `cells` × `cells`. The item is the first part, so that what the
        cross-modal encoder learns reaches the head.
        """
        pooled = F.adaptive_avg_pool2d(features, self.settings.cells)
        cells = self.of_cells(pooled.flatten(2).transpose(1, 2)) + self.places
        return torch.cat([self.of_item(items)[:, None], cells], dim=1)

    def match(self, seen: Tensor) -> Tensor:
        """Words that saw an image (b, l, text) → logits (b,) that it shows what they say."""
        return self.matching(seen[:, 0])[:, 0]

    def find(self, seen: Tensor) -> Tensor:
        """Words that saw an image (b, l, text) → boxes (b, 4): centre, width and height in 0..1."""
        return self.box(seen[:, 0]).sigmoid()


def pool_inside(features: Tensor, boxes: Tensor) -> Tensor:
    """Pool feature maps (b, c, h, w) inside one box each (b, 4), normalised xyxy → (b, c).

        pooled = Σ_cells a f / Σ_cells a + max over cells with a ≥ ½ (or the largest a) of f

    a is the share of a cell that the box covers. Mean and maximum are added as `ImageTower.pool`
    adds them; with the whole view as the box the result is the same.
    """
    height, width = features.shape[2:]
    x0, y0, x1, y1 = boxes.T
    across = _covered(x0 * width, x1 * width, width)
    down = _covered(y0 * height, y1 * height, height)
    share = down[:, :, None] * across[:, None, :]
    total = share.sum(dim=(1, 2)).clamp(min=1e-6)
    mean = torch.einsum("bchw,bhw->bc", features, share) / total[:, None]
    enough = torch.minimum(share.amax(dim=(1, 2)), share.new_tensor(0.5))
    inside = share >= enough[:, None, None]
    most = features.masked_fill(~inside[:, None], -torch.inf).amax(dim=(2, 3))
    return mean + most


def _covered(low: Tensor, high: Tensor, count: int) -> Tensor:
    """How much of each of `count` cells of length 1 lies between low and high (b,) → (b, count)."""
    starts = torch.arange(count, device=low.device, dtype=low.dtype)
    ends = torch.minimum(high[:, None], starts + 1)
    return (ends - torch.maximum(low[:, None], starts)).clamp(min=0)


class TransformerTower(nn.Module):
    """A vision transformer of the `transformers` library as the tower under items.

    Pixels (b, 3, s, s) → map (b, c, h, h) → embeddings (b, d). Its patch tokens are the feature
    map, and an object is the patches pooled inside its box: the mean of all patches is how BEiT-2
    makes its global token.

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
        old, new = ([torch.tensor(one)[:, None, None] for one in each] for each in (before, after))
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
