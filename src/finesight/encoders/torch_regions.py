"""Reads the embeddings of many windows out of one pass of a vision transformer.

Every window has a class token of its own, which starts as the image's and attends, in the last
layers, to itself and to the patches of its window alone; the patches never see it. A window that is
the whole image so gets the image's embedding, exactly. Attention that is limited to a region is how
Ding et al. 2023 ("Open-Vocabulary Universal Image Segmentation with MaskCLIP") and Xu et al. 2023
("Side Adapter Network") read regions out of CLIP; the other way here, the mean of the last layer's
values, is Zhou et al. 2022's ("Extract Free Dense Labels from CLIP").

Shapes: t patches of a square canvas, n windows, c the tower's width, d the joint space's.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.encoders.dense import windows_of_patches
from finesight.encoders.torch_hub import TransformersEncoder
from finesight.errors import DataError
from finesight.scoring.similarity import normalise
from finesight.types import Float32, UInt8

ALL_LAYERS = 10**6
NOTHING = -1e4  # added to the scores of patches outside a window; not −inf, which may become NaN


class TorchRegions:
    """A DenseTower of a checkpoint of transformers.

    layers, values: see RegionTokens. Raises DataError, when it is used, for a tower that is
    not built as CLIP's or SigLIP's.
    """

    def __init__(
        self, encoder: TransformersEncoder, layers: int = ALL_LAYERS, values: bool = False
    ) -> None:
        self.preprocessing = encoder.preprocessing
        self._encoder = encoder
        self._layers, self._values = layers, values

    @cached_property
    def network(self) -> "RegionTokens":
        """The tower, ready to run."""
        try:
            return RegionTokens(self._encoder.model, self._layers, self._values).eval()
        except (ValueError, AttributeError) as error:
            raise DataError(
                f"{self._encoder.directory} cannot read windows out of one canvas ({error}): "
                "look by ccN instead"
            ) from error

    @property
    def stride(self) -> int:
        """Pixels of the canvas for each patch."""
        return self.network.stride

    def forward_passes(self, side: int) -> float:
        """What one canvas costs, in encodings of one crop: the share of their patches."""
        return (side / self.preprocessing.side) ** 2

    @torch.inference_mode()
    def read(self, canvas: UInt8, cells: Sequence[int]) -> tuple[Float32, Float32]:
        """Return the windows of a canvas: see DenseTower."""
        boxes, inside = windows_of_patches(len(canvas) // self.stride, cells)
        where = next(self.network.parameters())
        pixels = torch.from_numpy(self.preprocessing.tensor(canvas[None])).to(where)
        found = self.network(pixels, torch.from_numpy(inside).to(where))
        return boxes, normalise(found.float().cpu().numpy())


class RegionTokens(nn.Module):
    """Pixels (1, 3, s, s) and windows (n, t) of 1 and 0 → embeddings (n, d), not normalised.

    model: of transformers, with CLIP's or SigLIP's vision tower; layers: how many of the last ones
    a window's token goes through on its own (SigLIP has no class token: its probe is limited);
    values: read the mean of the values instead. s is a multiple of the patches' side; positions are
    interpolated. Raises ValueError for a tower of another build.
    """

    def __init__(self, model: Any, layers: int = ALL_LAYERS, values: bool = False) -> None:
        super().__init__()
        tower = model.vision_model
        if not hasattr(tower, "post_layernorm") or not hasattr(tower.embeddings, "patch_embedding"):
            raise ValueError(f"{type(tower).__name__} is not built as CLIP's or SigLIP's tower")
        self.embeddings = tower.embeddings
        self.before: nn.Module = getattr(tower, "pre_layrnorm", nn.Identity())
        self.layers = tower.encoder.layers
        self.after = tower.post_layernorm
        self.pooling: Any = getattr(tower, "head", None)
        self.project: nn.Module = getattr(model, "visual_projection", nn.Identity())
        self.has_class = hasattr(tower.embeddings, "class_embedding")
        if not self.has_class and self.pooling is None:
            raise ValueError(f"{type(tower).__name__} has neither a class token nor a pooling head")
        self.alone = min(layers, len(self.layers))
        self.values = values

    @property
    def stride(self) -> int:
        """Pixels a side of a patch."""
        return int(self.embeddings.patch_size)

    def forward(self, pixels: Tensor, windows: Tensor) -> Tensor:
        """See the class."""
        tokens = self.before(self._tokens(pixels))
        if not self.has_class:
            for layer in self.layers:
                tokens = _through(layer, tokens)
            return self.project(self._pooled(self.after(tokens)[0], windows))
        outside = (1 - windows) * NOTHING
        # A window's own token is in the place of the class token, which it does not see.
        outside = torch.cat([torch.zeros_like(outside[:, :1]), outside], dim=1)
        split = len(self.layers) - (1 if self.values else self.alone)
        for layer in self.layers[:split]:
            tokens = _through(layer, tokens)
        if self.values:
            return self.project(self.after(_mean_value(self.layers[-1], tokens[0], windows)))
        regions = tokens[0, :1].expand(len(windows), -1)
        for layer in self.layers[split:]:
            # The last layer's patches are seen by nobody.
            regions, seen = _beside(layer, regions, tokens[0], outside), tokens
            tokens = seen if layer is self.layers[-1] else _through(layer, tokens)
        return self.project(self.after(regions))

    def _tokens(self, pixels: Tensor) -> Tensor:
        """Patches with their positions, behind the class token where there is one: (1, t, c)."""
        found = self.embeddings.patch_embedding(pixels)
        patches = found.flatten(2).transpose(1, 2)
        stored = self.embeddings.position_embedding.weight
        positions = positions_for(stored[1:] if self.has_class else stored, found.shape[2])
        if not self.has_class:
            return patches + positions
        first = (self.embeddings.class_embedding + stored[0]).expand(len(patches), 1, -1)
        return torch.cat([first, patches + positions], dim=1)

    def _pooled(self, tokens: Tensor, windows: Tensor) -> Tensor:
        """What SigLIP's pooling head makes of the patches (t, c) of each window: (n, c)."""
        head = self.pooling
        attention = head.attention
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        keys, values = (F.linear(tokens, weights[i], biases[i]) for i in (1, 2))
        if self.values:
            mixed = windows @ values / windows.sum(dim=1, keepdim=True)
        else:
            query = F.linear(head.probe[0], weights[0], biases[0]).expand(len(windows), -1)
            outside = (1 - windows) * NOTHING
            scores = _scores(query, keys, attention.num_heads) + outside[:, None]
            mixed = _mixed(scores.softmax(dim=-1), values)
        found = attention.out_proj(mixed)
        pooled: Tensor = found + head.mlp(head.layernorm(found))
        return pooled


def positions_for(stored: Tensor, side: int) -> Tensor:
    """Positions (t, c) of a square of patches, interpolated to side × side of them.

    As they are where there are as many.
    """
    across = math.isqrt(len(stored))
    grid = stored.T.unflatten(1, (across, across))[None]
    found = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return found[0].flatten(1).T


def _through(layer: Any, tokens: Tensor) -> Tensor:
    """One layer of the tower, for (b, t, c)."""
    found = layer(tokens, attention_mask=None)
    return found[0] if isinstance(found, tuple) else found


def _beside(layer: Any, regions: Tensor, tokens: Tensor, outside: Tensor) -> Tensor:
    """One layer for the windows' tokens (n, c), beside the tokens (1 + t, c) of the image.

    outside: (n, 1 + t), what is added to their scores.
    """
    attention = layer.self_attn
    own, states = layer.layer_norm1(regions), layer.layer_norm1(tokens)
    heads = attention.num_heads
    query = attention.q_proj(own)
    scores = _scores(query, attention.k_proj(states), heads)
    itself = (query * attention.k_proj(own)).unflatten(1, (heads, -1)).sum(-1)
    itself = itself / math.sqrt(query.shape[1] // heads)
    # In the place of the class token every window sees itself.
    scores = torch.cat([itself[:, :, None], scores[:, :, 1:]], dim=2) + outside[:, None]
    share = scores.softmax(dim=-1)
    values = attention.v_proj(states)[1:]
    mixed = _mixed(share[:, :, 1:], values)
    mixed = mixed + (share[:, :, :1] * attention.v_proj(own).unflatten(1, (heads, -1))).flatten(1)
    regions = regions + attention.out_proj(mixed)
    return regions + layer.mlp(layer.layer_norm2(regions))


def _mean_value(layer: Any, tokens: Tensor, windows: Tensor) -> Tensor:
    """The mean of the last layer's values over each window, as its attention would put it out."""
    values = layer.self_attn.v_proj(layer.layer_norm1(tokens))[1:]
    return layer.self_attn.out_proj(windows @ values / windows.sum(dim=1, keepdim=True))


def _scores(query: Tensor, keys: Tensor, heads: int) -> Tensor:
    """Scaled products (n, heads, t) of queries (n, c) and keys (t, c)."""
    split, others = query.unflatten(1, (heads, -1)), keys.unflatten(1, (heads, -1))
    return torch.einsum("nhw,thw->nht", split, others) / math.sqrt(split.shape[-1])


def _mixed(share: Tensor, values: Tensor) -> Tensor:
    """Values (t, c) mixed by shares (n, heads, t): (n, c)."""
    split = values.unflatten(1, (share.shape[1], -1))
    return torch.einsum("nht,thw->nhw", share, split).flatten(1)
