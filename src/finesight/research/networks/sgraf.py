"""SGRAF: a vector says how each word, and the whole sentence, is like an image.

Diao, Zhang, Ma and Lu 2021, "Similarity Reasoning and Filtration for Image-Text Matching"
(METHODS.md 4). A pair x, y has the similarity s(x, y) = W |x − y|² / ‖W |x − y|²‖ (eq. 1). It is
taken of each word and the regions that it attends to, as SCAN text to image has them with λ 9 and
the context of length 1 (eq. 5), and of the global vectors of both sides (eq. 2), which attend to
their parts with the mean as the query.

SGR (eq. 6 to 8), three steps over the pairs, the global one first:  s ← ReLU(W_r softmax(W_in s
(W_out s)ᵀ) s); score = σ(w · s_global). SAF (eq. 9 and 10):  β = σ(BN(w_f · s)) / Σ σ(BN(w_f · s)),
score = σ(w · normalised Σ β s). The two are trained apart, and their scores averaged.

What differs: the authors' batch norm over the places of 36 regions is left out, as it needs one
number of regions in every image; their dropout of the global vectors stays.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.research.networks.masking import masked_mean, masked_norm, masked_softmax
from finesight.research.networks.matcher import Matcher, MatcherSettings, groups_by_length
from finesight.research.networks.scan import attention

_SMALL = 1e-8


class GlobalVector(nn.Module):
    """The parts that matter most to their mean: parts (n, m, h), mask (n, m) → (n, h)."""

    def __init__(self, hidden: int, dropout: float = 0.4) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Dropout(dropout))
        self.whole = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Dropout(dropout))
        self.common = nn.Linear(hidden, 1)

    def forward(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Weigh the parts by a softmax and sum them up; of length 1."""
        common = self.part(parts) * self.whole(masked_mean(parts, mask))[:, None]
        shares = masked_softmax(self.common(common)[..., 0], mask, dim=1)
        return F.normalize((shares[..., None] * parts).sum(dim=1), dim=-1)


class _Sgraf(Matcher):
    """What both share: the similarity vectors of a sentence and its words."""

    def build(self, settings: MatcherSettings) -> None:
        """Add what is learned of how the parts meet."""
        self.image = GlobalVector(settings.hidden)
        self.sentence = GlobalVector(settings.hidden)
        self.part_pair = nn.Linear(settings.hidden, settings.similarity)
        self.whole_pair = nn.Linear(settings.hidden, settings.similarity)
        self.score = nn.Linear(settings.similarity, 1)

    def begin(self) -> None:
        """Begin without biases: |x − y|² is small, and a bias would be all that is left of it."""
        towers = set(self.regions.modules()) | set(self.text.modules())
        for module in self.modules():
            if isinstance(module, nn.Linear) and module not in towers:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def numbers(self, regions: int, words: int) -> int:
        """The context of every word, as it differs from image to image."""
        return max(regions * words, (words + 1) * max(self.settings.hidden, words))

    def similarities(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Similarity vectors (b, t, 1 + w, s), of the whole first; arguments as `scores`."""
        whole = self.image(parts, there)[:, None] - self.sentence(words, mask)[None]
        first = self.whole_pair(whole.square())[:, :, None]
        pairs = torch.cat([first, self._of_words(parts, there, words, mask)], dim=2)
        return F.normalize(pairs, dim=-1)

    def _of_words(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """The similarity of each word with what it attends to, (b, t, w, s), not normalised."""
        if not self.training:
            return self.part_pair((self._context(parts, there, words) - words[None]).square())
        (t, w, _), width = words.shape, self.settings.similarity
        found = words.new_zeros(len(parts), t, w, width)
        for places, some, _ in groups_by_length(words, mask):
            apart = self._context(parts, there, some) - some[None]
            found[:, places, : some.shape[1]] = self.part_pair(apart.square())
        return found

    def _context(self, parts: Tensor, there: Tensor, words: Tensor) -> Tensor:
        """The mean of the regions that each word attends to: (b, t, w, h), of length 1."""
        smooth = 9.0 if self.settings.smooth is None else self.settings.smooth
        (b, p, h), (t, w, _) = parts.shape, words.shape
        _, weights = attention(parts, words, smooth)
        weights = weights * there[:, :, None, None].to(parts.dtype)
        context = weights.view(b, p, t * w).transpose(1, 2) @ parts
        return F.normalize(context, dim=-1).view(b, t, w, h)


class Reasoning(_Sgraf):
    """SGR: the similarities of words and sentence tell each other what they know."""

    def build(self, settings: MatcherSettings) -> None:
        """Add the steps of reasoning to what both have."""
        super().build(settings)
        width, steps = settings.similarity, range(settings.steps)
        self.asks = nn.ModuleList(nn.Linear(width, width) for _ in steps)
        self.answers = nn.ModuleList(nn.Linear(width, width) for _ in steps)
        self.passes = nn.ModuleList(nn.Linear(width, width) for _ in steps)
        self.begin()

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        found = self.similarities(parts, there, words, mask)
        nodes = F.pad(mask, (1, 0), value=True)[None, :, None]
        for ask, answer, pass_on in zip(self.asks, self.answers, self.passes, strict=True):
            edges = ask(found) @ answer(found).transpose(-1, -2)
            found = F.relu(pass_on(masked_softmax(edges, nodes, dim=-1) @ found))
        return self.score(found[:, :, 0])[..., 0].sigmoid()


class Filtration(_Sgraf):
    """SAF: similarities that say little are left out."""

    apart = False  # of the batch norm

    def build(self, settings: MatcherSettings) -> None:
        """Add the filter to what both have."""
        super().build(settings)
        self.weigh = nn.Linear(settings.similarity, 1)
        self.norm = nn.BatchNorm1d(1)
        self.begin()

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        found = self.similarities(parts, there, words, mask)
        nodes = F.pad(mask, (1, 0), value=True)[None].expand(found.shape[:3])
        logits = self.weigh(found)
        weights = masked_norm(self.norm, logits, nodes)[..., 0].sigmoid() * nodes.to(logits.dtype)
        shares = weights / weights.sum(dim=-1, keepdim=True).clamp(min=_SMALL)
        kept = F.normalize((shares[:, :, None] @ found)[:, :, 0], dim=-1)
        return self.score(kept)[..., 0].sigmoid()
