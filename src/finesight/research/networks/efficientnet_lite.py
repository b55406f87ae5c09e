"""EfficientNet-Lite: an image classifier for small machines, the image tower behind `photo`.

The architecture is that of Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for
Convolutional Neural Networks" (table 1: mobile inverted bottlenecks, widths and depths scaled
together), without squeeze-and-excitation, with ReLU6, and with a stem and a head that do not scale,
as the release notes of EfficientNet-Lite say. Padding is TensorFlow's "SAME", which the published
weights were trained with.

Shapes: b images, c channels, h and w of a feature map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import torch.nn.functional as F
from torch import Tensor, nn

_STEM, _HEAD = 32, 1280
_EPSILON = 1e-3  # of the batch normalisation, as in the published training

_STAGES = (  # blocks, kernel, stride, expansion, channels of lite0
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Scale:
    """What tells one EfficientNet-Lite from another; side: of the square input, in pixels."""

    width: float
    depth: float
    side: int


SCALES = {
    "efficientnet-lite0": Scale(1.0, 1.0, 224),
    "efficientnet-lite1": Scale(1.0, 1.1, 240),
    "efficientnet-lite2": Scale(1.1, 1.2, 260),
    "efficientnet-lite3": Scale(1.2, 1.4, 280),
    "efficientnet-lite4": Scale(1.4, 1.8, 300),
}


class SameConv(nn.Module):
    """A convolution with "SAME" padding, and its batch normalisation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Features (b, c, h, w) → (b, outputs, ⌈h / stride⌉, ⌈w / stride⌉)."""
        top, bottom = self._padding(x.shape[-2])
        left, right = self._padding(x.shape[-1])
        if top == bottom and left == right:
            padded = F.conv2d(
                x, self.conv.weight, self.conv.bias, self.stride, (top, left), 1, self.conv.groups
            )
            return self.norm(padded)
        return self.norm(self.conv(F.pad(x, (left, right, top, bottom))))

    def _padding(self, length: int) -> tuple[int, int]:
        """Pixels before and behind, of which the odd one comes behind."""
        missing = max((-(-length // self.stride) - 1) * self.stride + self.kernel - length, 0)
        return missing // 2, missing - missing // 2

    def fold(self) -> None:
        """Merge the normalisation into the convolution; for inference only."""
        assert isinstance(self.norm, nn.BatchNorm2d)
        self.conv = nn.utils.fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class Bottleneck(nn.Module):
    """Widen, convolve each channel for itself, narrow; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = SameConv(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, outputs, 1)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Features (b, inputs, h, w) → (b, outputs, ⌈h / stride⌉, ⌈w / stride⌉)."""
        wide = x if self.expand is None else F.relu6(self.expand(x))
        narrow = self.project(F.relu6(self.depthwise(wide)))
        return x + narrow if self.residual else narrow


class EfficientNetLite(nn.Module):
    """Pixels → features → logits of `classes` classes.

    Pixels are (b, 3, height, width), scaled as (value of 0 to 255 − 127) / 128.
    """

    def __init__(self, scale: Scale, classes: int = 1000) -> None:
        super().__init__()
        self.stem = SameConv(3, _STEM, 3, stride=2)
        blocks: list[nn.Module] = []
        channels = _STEM
        for index, (count, kernel, stride, expansion, outputs) in enumerate(_STAGES):
            ends = index in (0, len(_STAGES) - 1)
            outputs = _rounded(outputs * scale.width)
            for block in range(count if ends else ceil(count * scale.depth)):
                step = stride if block == 0 else 1
                blocks.append(Bottleneck(channels, outputs, kernel, step, expansion))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(channels, _HEAD, 1)
        self.classify = nn.Linear(_HEAD, classes)

    def map(self, pixels: Tensor) -> Tensor:
        """Pixels (b, 3, height, width) → the last feature map (b, 1280, ⌈h / 32⌉, ⌈w / 32⌉)."""
        x = F.relu6(self.stem(pixels))
        for block in self.blocks:
            x = block(x)
        return F.relu6(self.head(x))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (b, 3, height, width) → logits (b, classes) and the last feature map."""
        features = self.map(pixels)
        return self.classify(features.mean(dim=(2, 3))), features

    def fold(self) -> None:
        """Merge every batch normalisation into the convolution before it; for inference only."""
        for module in self.modules():
            if isinstance(module, SameConv):
                module.fold()


def from_published(name: str, weights: Mapping[str, Tensor]) -> EfficientNetLite:
    """Return a network with weights named as in the package `efficientnet_lite_pytorch`.

    Raises KeyError for a name that is not in SCALES, RuntimeError for weights of another network.
    """
    classes = weights["_fc.bias"].shape[0] if "_fc.bias" in weights else 1000
    network = EfficientNetLite(SCALES[name], classes)
    network.load_state_dict({_ours(key): weight for key, weight in weights.items()})
    return network.eval()


_PARTS = {"_conv_stem": "stem.conv", "_conv_head": "head.conv", "_fc": "classify"}
_OF_BLOCK = {"_expand_conv": "expand", "_depthwise_conv": "depthwise", "_project_conv": "project"}


def _ours(key: str) -> str:
    """Return our name of a published weight: a block's norms are numbered from its first one."""
    first, _, rest = key.partition(".")
    if first == "_blocks":
        index, part, weight = rest.split(".", 2)
        places = {"_bn0": "expand.norm", "_bn1": "depthwise.norm", "_bn2": "project.norm"}
        ours = places.get(part) or f"{_OF_BLOCK.get(part, part)}.conv"
        return f"blocks.{index}.{ours}.{weight}"
    places = {**_PARTS, "_bn0": "stem.norm", "_bn1": "head.norm"}
    return f"{places.get(first, first)}.{rest}"


def _rounded(channels: float) -> int:
    """Return the nearest multiple of 8, not less than nine tenths of what was asked."""
    found = max(8, int(channels + 4) // 8 * 8)
    return found + 8 if found < 0.9 * channels else found
