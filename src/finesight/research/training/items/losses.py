"""The losses of image-to-image retrieval with captions and objects (METHODS.md 5).

Shapes: b objects, each with its caption; t texts, w words; e the width of an item embedding.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MARGIN, SCALE = 0.15, 30.0
"""ArcFace's, as the source has them."""

MASKED = 0.15  # share of the words that are masked, as in BERT


def itc(scores: Tensor, groups: Tensor) -> Tensor:
    """Image–text contrast with soft labels: the mean of both directions' cross-entropies.

        y_ij = [g_i = g_j] / Σ_k [g_i = g_k],    L = −½ (Σ_i Σ_j y_ij log softmax_j(s_ij)
                                                        + the same of sᵀ) / b

    scores s: (b, b) scaled cosines of object i and caption j; groups g: (b,), equal where two pairs
    share an image or a wording, so that the caption of the one is as true of the other.
    """
    same = (groups[:, None] == groups[None]).to(scores.dtype)
    wanted = same / same.sum(dim=1, keepdim=True)
    both = [-(wanted * found.log_softmax(dim=1)).sum(dim=1).mean() for found in (scores, scores.T)]
    return (both[0] + both[1]) / 2


def hard_negatives(
    scores: Tensor, groups: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Draw for each row a column (b,) of another group, likelier the higher its score.

        P(j | i) ∝ softmax_j(s_ij) · [g_i ≠ g_j]

    A row whose group is the whole batch has none, and gets −1.
    """
    others = groups[:, None] != groups[None]
    odds = scores.detach().float().softmax(dim=1).clamp(min=1e-6) * others
    there = others.any(dim=1)
    odds[~there] = 1.0
    drawn = torch.multinomial(odds, 1, generator=generator)[:, 0]
    return torch.where(there, drawn, -1)


def itm(matching: Tensor, others: Tensor) -> Tensor:
    """Image–text matching: does the caption belong to the object? Binary cross-entropy.

        L = −(Σ_i log σ(m_i) + Σ_j log(1 − σ(o_j))) / (number of m and o)

    matching m, others o: logits (b,) and (n,) of pairs that belong together and of those that do
    not (`hard_negatives`, drawn in both directions).
    """
    logits = torch.cat([matching, others])
    wanted = torch.cat([torch.ones_like(matching), torch.zeros_like(others)])
    return F.binary_cross_entropy_with_logits(logits, wanted)


def corners(boxes: Tensor) -> Tensor:
    """Turn boxes (n, 4) from centre, width and height into x0, y0, x1, y1."""
    centre, sides = boxes[:, :2], boxes[:, 2:]
    return torch.cat([centre - sides / 2, centre + sides / 2], dim=1)


def giou(found: Tensor, wanted: Tensor) -> Tensor:
    """Generalised intersection over union (n,) of boxes (n, 4) xyxy (Rezatofighi et al. 2019).

    GIoU = |A ∩ B| / |A ∪ B| − |C without (A ∪ B)| / |C|,    C the smallest box around both
    """

    def area(boxes: Tensor) -> Tensor:
        return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)

    low, high = torch.maximum(found, wanted), torch.minimum(found, wanted)
    shared = (high[:, 2:] - low[:, :2]).clamp(min=0).prod(dim=1)
    union = area(found) + area(wanted) - shared
    around = (low[:, 2:] - high[:, :2]).clamp(min=0).prod(dim=1)
    tiny = torch.finfo(found.dtype).eps
    return shared / union.clamp(min=tiny) - (around - union) / around.clamp(min=tiny)


def box_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """L1 and GIoU of predicted boxes (n, 4), both as centre, width and height in 0..1.

    L = mean_i ( ‖f_i − w_i‖₁ + 1 − GIoU(f_i, w_i) )
    """
    distance = (found - wanted).abs().sum(dim=1)
    return (distance + 1 - giou(corners(found), corners(wanted))).mean()


def mask_words(
    ids: Tensor, fixed: Tensor, mask_id: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Hide a share of the words of each text, one at least: ids (t, w) with `mask_id`, and where.

    fixed: (t, w) bool, tokens that are no words (begin, end, padding) and stay.
    """
    odds = torch.rand(ids.shape, generator=generator).masked_fill(fixed.cpu(), 2.0).to(ids.device)
    hidden = odds < MASKED
    hidden |= (odds == odds.amin(dim=1, keepdim=True)) & ~fixed
    return ids.masked_fill(hidden, mask_id), hidden


def mlm(logits: Tensor, ids: Tensor, hidden: Tensor) -> Tensor:
    """Masked words: the cross-entropy of each hidden word, given what is seen and the other words.

        L = −mean over hidden (t, w) of log softmax(logits_tw)[id_tw]

    logits: (t, w, vocabulary); ids: (t, w), what was there; hidden: (t, w).
    """
    return F.cross_entropy(logits[hidden], ids[hidden])


class ArcFace(nn.Module):
    """A classifier of identities with an additive angular margin (Deng et al. 2019, equation 3).

        L = −mean_i log softmax_j( s · cos(θ_ij + m [j = y_i]) )_{y_i},    cos θ_ij = z_i · w_j

    Where θ + m would pass π, cos θ − m sin m takes its place, so that a larger angle never costs
    less. The weights w (identities, e) are of use in training only.
    """

    def __init__(
        self, width: int, identities: int, margin: float = MARGIN, scale: float = SCALE
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.randn(identities, width), dim=1))
        self.margin, self.scale = margin, scale

    def forward(self, items: Tensor, identities: Tensor) -> Tensor:
        """Item embeddings (b, e), of length 1, and each one's identity by number (b,) → loss."""
        cosines = items @ F.normalize(self.weight, dim=1).T
        rows = torch.arange(len(items), device=items.device)
        own = cosines[rows, identities].clamp(-1 + 1e-6, 1 - 1e-6)
        sines = (1 - own**2).sqrt()
        moved = own * math.cos(self.margin) - sines * math.sin(self.margin)
        beyond = own <= math.cos(math.pi - self.margin)
        moved = torch.where(beyond, own - self.margin * math.sin(self.margin), moved)
        logits = self.scale * cosines.index_put((rows, identities), moved)
        return F.cross_entropy(logits, identities)
