"""A dual encoder small enough to train on two CPU cores: the network behind the model `mini`.

The shape is CLIP's (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
Supervision", section 2.4): an image tower and a text tower that end in one space, and a learned
temperature. The image tower is a residual network (He et al. 2016, basic blocks), the text tower a
pre-norm transformer over whole words.

Shapes: b images, t texts, w words, d width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.masking import attend, masked_mean

LARGEST_SCALE = 100.0  # CLIP's bound on the temperature: beyond it training becomes unstable


@dataclass(frozen=True)
class SmallClipSettings:
    """Sizes of the two towers; `vocabulary` is the number of tokens, `longest_text` in tokens."""

    vocabulary: int
    width: int = 128
    image_size: int = 64
    stem: int = 32
    stages: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 2, 2)
    strides: tuple[int, ...] = (1, 2, 2)  # 8 in all, with the stem: a thing of 20 px keeps a shape
    text_width: int = 128
    text_layers: int = 2
    text_heads: int = 4
    longest_text: int = 24

    @property
    def stride(self) -> int:
        """Pixels for each cell of the last feature map."""
        return 2 * math.prod(self.strides)


class ConvNorm(nn.Module):
    """A convolution followed by batch normalisation, which `fold` turns into one convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features (b, inputs, h, w) → (b, outputs, h / stride, w / stride)."""
        return self.norm(self.conv(x))

    def fold(self) -> None:
        """Merge the normalisation's statistics into the convolution; for inference only."""
        assert isinstance(self.norm, nn.BatchNorm2d)
        self.conv = nn.utils.fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class Convolutional(nn.Module):
    """A network of such convolutions."""

    def fold(self) -> None:
        """Merge every batch normalisation into the convolution before it; for inference only."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Features (b, inputs, h, w) → (b, outputs, h / stride, w / stride)."""
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


class ImageTower(Convolutional):
    """Pixels (b, 3, height, width) → embeddings (b, d), not normalised.

    Pooling is the last thing that knows about space, so the feature map of a larger image can be
    pooled window by window. Mean and maximum are added: the mean says what the crop is like, the
    maximum keeps an object that fills little of it.
    """

    def __init__(self, settings: SmallClipSettings) -> None:
        super().__init__()
        self.stem = ConvNorm(3, settings.stem, 5, stride=2)
        blocks: list[nn.Module] = []
        channels = settings.stem
        plan = zip(settings.stages, settings.blocks, settings.strides, strict=True)
        for outputs, count, stride in plan:
            blocks.append(ResidualBlock(channels, outputs, stride))
            blocks += [ResidualBlock(outputs, outputs, 1) for _ in range(count - 1)]
            channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.project = nn.Linear(channels, settings.width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pixels around 0, as the bundle's preprocessor makes them."""
        return self.pool(self.features(pixels))

    def features(self, pixels: Tensor) -> Tensor:
        """Pixels (b, 3, height, width) → the last feature map (b, c, height / 8, width / 8)."""
        return self.blocks(F.relu(self.stem(pixels)))

    def pool(self, features: Tensor) -> Tensor:
        """A feature map, or a window of one, → embeddings (b, d)."""
        return self.project(features.mean(dim=(2, 3)) + features.amax(dim=(2, 3)))


def two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return the feed-forward network of a transformer's layer."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


class TextLayer(nn.Module):
    """One pre-norm transformer layer with bidirectional attention over the words that are there."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = two_layers(width, 2 * width, width)

    def forward(self, words: Tensor, bias: Tensor) -> Tensor:
        """Words (t, w, width) and an additive mask (t, 1, 1, w) → words (t, w, width)."""
        query, key, value = self.query_key_value(self.attention_norm(words)).chunk(3, dim=-1)
        words = words + self.merge(attend(query, key, value, self.heads, bias))
        return words + self.feed(self.feed_norm(words))


class TextTower(nn.Module):
    """Token ids and mask (t, w) → embeddings (t, d), not normalised; padding changes nothing."""

    def __init__(self, settings: SmallClipSettings) -> None:
        super().__init__()
        self.tokens = nn.Embedding(settings.vocabulary, settings.text_width)
        self.positions = nn.Parameter(torch.empty(settings.longest_text, settings.text_width))
        # Words far larger than positions, and their mean as the text: class names then reach the
        # loss at once. With CLIP's small words and one token's output, classes took twice as long.
        nn.init.normal_(self.tokens.weight, std=1.0)
        nn.init.normal_(self.positions, std=0.02)
        self.layers = nn.ModuleList(
            TextLayer(settings.text_width, settings.text_heads) for _ in range(settings.text_layers)
        )
        self.norm = nn.LayerNorm(settings.text_width)
        self.project = nn.Linear(settings.text_width, settings.width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed texts; the mask is 1 where there is a token and 0 where there is padding."""
        words = self.states(input_ids, attention_mask)
        return self.project(self.norm(masked_mean(words, attention_mask)))

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w) → each token's state behind the last layer (t, w, width)."""
        words = self.tokens(input_ids) + self.positions[: input_ids.shape[1]]
        # A large negative number, not −inf: a row that is masked everywhere must not become NaN.
        there = attention_mask.to(words.dtype)
        bias = (1.0 - there[:, None, None, :]) * -1e4
        for layer in self.layers:
            words = layer(words, bias)
        return words


class SmallClip(nn.Module):
    """Image tower, text tower, and the temperature that their cosine similarities are scaled by."""

    def __init__(self, settings: SmallClipSettings) -> None:
        super().__init__()
        self.settings = settings
        self.image = ImageTower(settings)
        self.text = TextTower(settings)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Images (b, 3, height, width) and texts (t, w) → scaled cosine similarities (b, t)."""
        images = F.normalize(self.image(pixels).float(), dim=-1)
        texts = F.normalize(self.text(input_ids, attention_mask).float(), dim=-1)
        return self.log_scale.exp().clamp(max=LARGEST_SCALE) * images @ texts.T
