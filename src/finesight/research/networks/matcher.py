"""What every matcher has: towers for regions and words, and scores of images with texts.

A matcher is query-dependent: what an image is worth follows from how its parts meet the parts of
the text. The towers are run once for each image and each text, the meeting once for each pair, so
`scores` is written without any tensor that holds a vector for every pair of parts.

Whole galleries are scored block by block, on whatever device the matcher is (`all_scores`). Texts
are sorted by their length, so that a block has hardly any padding, and a block holds as many images
and texts as keep its largest tensor near `numbers`: memory does not grow with the gallery.

The towers make parts of one space from regions and words, as SCAN has them (Lee et al. 2018,
"Stacked Cross Attention for Image-Text Matching", section 3.1; METHODS.md 4): a linear layer over
region features, and word embeddings through a bidirectional GRU whose two directions are averaged.
Parts are of length 1; a part that is only padding is zero.

Shapes: b images, p regions, t texts, w words, h hidden width.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CPU_NUMBERS = 2**20  # of a block's largest tensor: what stays in the caches
GPU_NUMBERS = 2**28
SLOPE = 0.1  # of every LeakyReLU of SCAN and ADAPT
_SMALL = 1e-24


@dataclass(frozen=True)
class MatcherSettings:
    """What a matcher is; the defaults are the papers', for bottom-up features of 2048 numbers.

    kind: of matcher_kinds.KINDS; width: of a region's features; vocabulary: how many tokens; hidden
    and word_width: of the parts and of a trained word; smooth: λ of the softmax over parts, None
    for the paper's; pooling: "mean" or "lse" over the parts of the query, with its factor `lse`;
    fovea, learned: of ADAPT, whether parts are weighted by a softmax and whether its λ is learned;
    similarity, steps: of SGRAF, the width of a similarity and the steps of reasoning;
    tokens: the width of the encoder's token states, 0 for words through a GRU.
    """

    kind: str
    width: int = 2048
    vocabulary: int = 0
    hidden: int = 1024
    word_width: int = 300
    smooth: float | None = None
    pooling: str = "mean"
    lse: float | None = None
    fovea: bool = True
    learned: bool = False
    similarity: int = 256
    steps: int = 3
    tokens: int = 0


class RegionParts(nn.Module):
    """A linear layer over the features of each region, for ADAPT with a LeakyReLU behind it."""

    def __init__(self, width: int, hidden: int, activation: bool = False) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.activation = nn.LeakyReLU(SLOPE) if activation else nn.Identity()
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, regions: Tensor, there: Tensor) -> Tensor:
        """Regions (b, p, width) and which of them are there (b, p) → parts (b, p, h)."""
        parts = F.normalize(self.activation(self.project(regions)), dim=-1)
        return parts * there[..., None].to(parts.dtype)


class WordGru(nn.Module):
    """Word embeddings through a GRU in either direction; padding changes nothing.

    known: vectors (vocabulary, c) that stay as they are, such as GloVe's, beside the trained ones.
    """

    known: Tensor

    def __init__(
        self, vocabulary: int, word_width: int, hidden: int, known: Tensor | None = None
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, word_width)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        self.register_buffer("known", torch.zeros(vocabulary, 0) if known is None else known)
        inputs = word_width + self.known.shape[1]
        self.onward = nn.GRU(inputs, hidden, batch_first=True)
        self.back = nn.GRU(inputs, hidden, batch_first=True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w), 1 where there is a word → parts (t, w, h).

        The words of each text are reversed within its own length, so that the GRU that reads
        backwards never meets padding; the other one has it behind the last word.
        """
        words = self.embed(input_ids)
        if self.known.shape[1]:
            words = torch.cat([self.known[input_ids], words], dim=-1)
        places = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        counts = attention_mask.sum(dim=1, keepdim=True)
        reverse = torch.where(places < counts, counts - 1 - places, places)[..., None]
        hidden = self.onward.hidden_size
        begin = words.new_zeros(1, input_ids.shape[0], hidden)
        onward, _ = self.onward(words, begin)
        back, _ = self.back(words.gather(1, reverse.expand(-1, -1, words.shape[-1])), begin)
        states = (onward + back.gather(1, reverse.expand(-1, -1, hidden))) / 2
        # Not F.normalize, whose export keeps the number of words of the example.
        states = states * states.square().sum(dim=-1, keepdim=True).clamp(min=_SMALL).rsqrt()
        return states * attention_mask[..., None].to(states.dtype)


class TokenParts(nn.Module):
    """The states that a frozen text tower gives its tokens, through a linear layer.

    tower: takes ids and mask (t, w) and gives states (t, w, width).
    """

    def __init__(self, tower: nn.Module, width: int, hidden: int) -> None:
        super().__init__()
        self.tower = tower.requires_grad_(False).eval()
        self.project = nn.Linear(width, hidden)

    def train(self, mode: bool = True) -> "TokenParts":
        """Switch to training, the frozen tower left out."""
        super().train(mode)
        self.tower.eval()
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w) → parts (t, w, h)."""
        states = self.project(self.tower(input_ids, attention_mask))
        return F.normalize(states, dim=-1) * attention_mask[..., None].to(states.dtype)


class Matcher(nn.Module):
    """Two towers; a kind adds how their parts meet.

    tower: the encoder's frozen text tower, where settings.tokens says that its states are the
    words; known: fixed word vectors, see WordGru.
    """

    leaky = False  # whether a LeakyReLU stands behind the linear layer over regions
    apart = True  # whether a text's scores do not depend on the batch, in training either

    def __init__(
        self, settings: MatcherSettings, tower: nn.Module | None = None, known: Tensor | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.regions = RegionParts(settings.width, settings.hidden, self.leaky)
        self.text: nn.Module
        if settings.tokens:
            if tower is None:
                raise ValueError("a matcher over token states needs the tower that gives them")
            self.text = TokenParts(tower, settings.tokens, settings.hidden)
        else:
            self.text = WordGru(settings.vocabulary, settings.word_width, settings.hidden, known)
        self.build(settings)

    def build(self, settings: MatcherSettings) -> None:
        """Add what a kind has beside the towers: nothing, unless it learns how parts meet."""

    def images(self, regions: Tensor, there: Tensor) -> Tensor:
        """Regions (b, p, width) and which of them are there (b, p) → parts (b, p, h)."""
        return self.regions(regions, there)

    def words(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w) → parts (t, w, h)."""
        return self.text(input_ids, attention_mask)

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Parts (b, p, h), there (b, p), words (t, w, h), mask (t, w) → scores (b, t)."""
        raise NotImplementedError

    def numbers(self, regions: int, words: int) -> int:
        """How many numbers the largest tensor of `scores` holds for one image and one text."""
        return regions * words

    def forward(
        self, regions: Tensor, there: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> Tensor:
        """Score every image with every text: (b, t); arguments as `images` and `words`."""
        parts = self.images(regions, there)
        words, mask = self.words(input_ids, attention_mask), attention_mask.bool()
        if not (self.training and self.apart):
            return self.scores(parts, there, words, mask)
        found = words.new_zeros(len(parts), len(words))
        for places, some, here in groups_by_length(words, mask):
            found[:, places] = self.scores(parts, there, some, here)
        return found


class Ensemble(Matcher):
    """The mean of the scores of several matchers, each with towers of its own.

    Its parts are those of its members side by side, (b, p, members × h).
    """

    def __init__(self, settings: MatcherSettings, members: Sequence[Matcher]) -> None:
        nn.Module.__init__(self)
        self.settings = settings
        self.members: Sequence[Matcher] = nn.ModuleList(members)  # type: ignore[assignment]

    def images(self, regions: Tensor, there: Tensor) -> Tensor:
        """Regions and which are there → the members' parts side by side."""
        return torch.cat([member.images(regions, there) for member in self.members], dim=-1)

    def words(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask → the members' parts side by side."""
        found = [member.words(input_ids, attention_mask) for member in self.members]
        return torch.cat(found, dim=-1)

    def scores(self, parts: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """The mean of what the members give their parts."""
        count = len(self.members)
        shares = zip(self.members, parts.chunk(count, -1), words.chunk(count, -1), strict=True)
        found = [member.scores(image, there, text, mask) for member, image, text in shares]
        return torch.stack(found).mean(dim=0)

    def numbers(self, regions: int, words: int) -> int:
        """The most of any member."""
        return max(member.numbers(regions, words) for member in self.members)


def groups_by_length(words: Tensor, mask: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield texts in four groups of about one length: their places, words (t, w, h), mask (t, w).

    In training a batch has texts of all lengths; what is done for every word of every pair is then
    done for hardly any padding.
    """
    counts = mask.sum(dim=1)
    for places in counts.argsort(stable=True).chunk(4):
        longest = int(counts[places].max())
        yield places, words[places, :longest], mask[places, :longest]


@dataclass(frozen=True)
class Encoded:
    """The parts of n images or texts: parts (n, m, h), and which of them are there (n, m)."""

    parts: Tensor
    there: Tensor

    def __len__(self) -> int:
        return len(self.parts)

    def rows(self, chosen: slice | Tensor) -> "Encoded":
        """Return some of them, without parts that are padding in all of these."""
        there = self.there[chosen]
        longest = int(there.sum(dim=1).max()) if len(there) else 0
        return Encoded(self.parts[chosen, :longest], there[:, :longest])


@torch.inference_mode()
def all_scores(
    matcher: Matcher,
    images: Encoded,
    texts: Encoded,
    numbers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Return the scores (n, t) of n images with t texts, on the CPU.

    What is there stands before what is padding, in images and in texts. numbers: how many a block's
    largest tensor may hold; progress: called with the number of texts that are done.
    """
    matcher.eval()
    images = images.rows(slice(None))
    found = torch.empty(len(images), len(texts))
    done = 0
    for columns, block, size in text_blocks(matcher, images, texts, numbers):
        for start in range(0, len(images), size):
            some = images.rows(slice(start, start + size))
            scores = matcher.scores(some.parts, some.there, block.parts, block.there)
            found[start : start + size, columns] = scores.float().cpu()
        done += len(columns)
        progress(done)
    return found


def text_blocks(
    matcher: Matcher, images: Encoded, texts: Encoded, numbers: int | None = None
) -> Iterator[tuple[Tensor, Encoded, int]]:
    """Yield blocks of texts of about one length: their places, themselves, and images a block."""
    most = numbers or (CPU_NUMBERS if texts.parts.device.type == "cpu" else GPU_NUMBERS)
    counts = texts.there.sum(dim=1).cpu()
    order = counts.argsort(stable=True)

    def pairs(words: int) -> int:
        return max(1, most // max(1, matcher.numbers(images.parts.shape[1], words)))

    while len(order):
        # As many texts as images in a block: both sides of the product are then large.
        side = int(pairs(max(1, int(counts[order[0]]))) ** 0.5)
        columns, order = order[:side], order[side:]
        block = texts.rows(columns.to(texts.parts.device))
        yield columns, block, max(1, pairs(block.parts.shape[1]) // len(columns))
