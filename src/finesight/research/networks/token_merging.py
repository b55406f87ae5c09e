"""A vision transformer that merges patches alike on its way, and so computes less.

After Bolya et al. 2023 ("Token Merging: Your ViT But Faster", ToMe): in every layer the patches are
parted into two halves, the `merged` likeliest pairs between them become one each, weighted by how
many patches they stand for, and attention counts them as so many. With `protect`, the patches that
may be merged away are those with most of their kind (Tran et al. 2024, "Accelerating Transformers
with Spectrum-Preserving Token Merging", PiToMe), so that what is rare, an object, stays.

Shapes: b images, t tokens with the class token first, c the tower's width, d the joint space's.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.masking import attend

MARGIN = 0.5  # cosine above which two patches count as of one kind


class MergingTower(nn.Module):
    """Pixels (b, 3, side, side) → embeddings (b, d), not normalised.

    model: of transformers, with CLIP's vision tower; merged: patches that become fewer in every
    layer; layers: after how many to stop, all unless given (early exit: the class token goes
    through the last norm and the projection from there).
    """

    def __init__(
        self, model: Any, merged: int, layers: int | None = None, protect: bool = False
    ) -> None:
        super().__init__()
        tower = model.vision_model
        self.embeddings, self.before = tower.embeddings, tower.pre_layrnorm
        self.layers = tower.encoder.layers[:layers]
        self.after, self.project = tower.post_layernorm, model.visual_projection
        self.merged, self.protect = merged, protect

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        tokens = self.before(self.embeddings(pixels))
        sizes = torch.ones_like(tokens[..., :1])
        for layer in self.layers:
            mixed, keys = _attend(layer, tokens, sizes)
            tokens = tokens + mixed
            fewer = min(self.merged, (tokens.shape[1] - 1) // 2)
            if fewer > 0:
                tokens, sizes = merge(tokens, sizes, keys, fewer, self.protect)
            tokens = tokens + layer.mlp(layer.layer_norm2(tokens))
        return self.project(self.after(tokens[:, 0]))


def _attend(layer: Any, tokens: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """What attention adds to tokens that stand for several each, and their mean keys."""
    attention, states = layer.self_attn, layer.layer_norm1(tokens)
    key = attention.k_proj(states)
    asked, answers, heads = attention.q_proj(states), attention.v_proj(states), attention.num_heads
    # Proportional attention (ToMe, equation 1): a token that stands for n counts n times.
    mixed = attend(asked, key, answers, heads, sizes.log()[:, None, None, :, 0])
    return attention.out_proj(mixed), key.unflatten(-1, (heads, -1)).mean(dim=2)


def merge(
    tokens: Tensor, sizes: Tensor, keys: Tensor, fewer: int, protect: bool = False
) -> tuple[Tensor, Tensor]:
    """Return tokens (b, t - fewer, c) and their sizes (b, t - fewer, 1): bipartite soft matching.

    tokens (b, t, c), the class token first, which is never merged; sizes (b, t, 1); keys (b, t, h)
    say which are alike. Sums of size times token stay what they are.
    """
    likeness = F.normalize(keys[:, 1:], dim=-1)
    count = likeness.shape[1]
    if protect:  # the half with most of their kind goes into its likest among the others
        alike = likeness @ likeness.transpose(1, 2)
        energy = torch.where(alike > MARGIN, alike, alike - MARGIN).mean(dim=-1)
        order = energy.argsort(dim=-1, descending=True)
        first, second = order[:, : count // 2], order[:, count // 2 :]
    else:  # every other one, as they lie
        order = torch.arange(count, device=likeness.device).expand(len(likeness), -1)
        first, second = order[:, ::2], order[:, 1::2]
    apart = _taken(likeness, first) @ _taken(likeness, second).transpose(1, 2)
    best, partner = apart.max(dim=-1)
    ranked = best.argsort(dim=-1, descending=True)
    gone, stay = ranked[:, :fewer], ranked[:, fewer:]
    weighted = torch.cat([tokens * sizes, sizes], dim=-1)
    patches = weighted[:, 1:]
    sources, targets = _taken(patches, first), _taken(patches, second)
    into = partner.gather(1, gone)[..., None].expand(-1, -1, patches.shape[-1])
    targets = targets.scatter_add(1, into, _taken(sources, gone))
    kept = torch.cat([weighted[:, :1], _taken(sources, stay), targets], dim=1)
    return kept[..., :-1] / kept[..., -1:], kept[..., -1:]


def _taken(values: Tensor, indices: Tensor) -> Tensor:
    return values.gather(1, indices[..., None].expand(-1, -1, values.shape[-1]))
