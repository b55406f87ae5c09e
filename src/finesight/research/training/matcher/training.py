"""Trains matchers on image–caption pairs, the members of an ensemble one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from finesight.research.metrics import caption_recalls
from finesight.research.networks.blockwise import Encoded, all_scores
from finesight.research.networks.matcher import Ensemble, Matcher, MatcherSettings
from finesight.research.networks.matcher_kinds import build_matcher, members
from finesight.research.training.matcher.loop import (
    ADAPT,
    SCAN,
    SGRAF,
    PairProgress,
    Recipe,
    train_pairs,
)
from finesight.research.training.matcher.pairs import CaptionPairs

LONGEST_CAPTION = 64  # tokens: longer ones are cut
_AT_ONCE = 256  # images or texts that the towers encode in one go

RECIPES: dict[str, Recipe] = {
    "scan-t2i": SCAN,
    "scan-i2t": SCAN,
    "adapt-t2i": ADAPT,
    "adapt-i2t": ADAPT,
    "sgr": SGRAF,
    "saf": SGRAF,
}
"""How the papers train each kind."""


class MatcherOnPairs:
    """A matcher with the tokens of some captions, as the training loop wants it."""

    def __init__(
        self, matcher: Matcher, pairs: CaptionPairs, tokenizer: Tokenizer, device: str = "cpu"
    ) -> None:
        self.module = matcher.to(device)
        self.pairs, self.tokenizer, self.device = pairs, tokenizer, device
        self._ids, self._mask = tokens(tokenizer, pairs.captions)

    def scores(self, images: list[int], captions: list[int]) -> Tensor:
        """Return the scores (b, t) of some images with some captions."""
        regions, there, _ = self.pairs.images(images, self.device)
        mask = self._mask[captions]
        longest = int(mask.sum(dim=1).max())
        ids = self._ids[captions, :longest].to(self.device)
        found: Tensor = self.module(regions, there, ids, mask[:, :longest].to(self.device))
        return found

    def all_scores(self) -> np.ndarray:
        """Return the scores (n, t) of all images with all captions."""
        texts = encode_captions(self.module, self._ids, self._mask, self.device)
        images = encode_regions(self.module, self.pairs, self.device)
        scores: np.ndarray = all_scores(self.module, images, texts).numpy()
        return scores

    def rsum(self) -> float:
        """Return the sum of the six recalls, in percent."""
        return caption_recalls(self.all_scores(), self.pairs.owner).rsum


def train_matcher(
    settings: MatcherSettings,
    training: CaptionPairs,
    validation: CaptionPairs,
    tokenizer: Tokenizer,
    recipe: Callable[[str], Recipe] = RECIPES.__getitem__,
    *,
    tower: nn.Module | None = None,
    known: Tensor | None = None,
    checkpoint: Path | None = None,
    report: Callable[[str, PairProgress], None] = lambda kind, progress: None,
    device: str = "cpu",
) -> tuple[Matcher, float]:
    """Return a trained matcher, and the sum of its recalls on the validation pairs.

    recipe: gives each kind's; tower, known: see Matcher; checkpoint: where interrupted runs are
    kept, a file for each member.
    """
    trained = []
    for kind in members(settings.kind):
        member, how = replace(settings, kind=kind), recipe(kind)
        torch.manual_seed(how.seed)
        matcher = build_matcher(member, tower, known)
        model = MatcherOnPairs(matcher, training, tokenizer, device)
        held = MatcherOnPairs(matcher, validation, tokenizer, device)
        train_pairs(
            model,
            training,
            how,
            held.rsum,
            about=asdict(member),
            checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}-{kind}"),
            report=lambda progress, kind=kind: report(kind, progress),  # type: ignore[misc]
        )
        trained.append(matcher)
    whole = trained[0] if len(trained) == 1 else Ensemble(settings, trained)
    return whole.eval(), MatcherOnPairs(whole, validation, tokenizer, device).rsum()


def tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return token ids and mask (t, w), as wide as the longest text."""
    found = tokenizer.encode_batch(list(texts))
    ids = torch.tensor([each.ids for each in found], dtype=torch.long)
    return ids, torch.tensor([each.attention_mask for each in found], dtype=torch.long)


@torch.inference_mode()
def encode_captions(matcher: Matcher, ids: Tensor, mask: Tensor, device: str = "cpu") -> Encoded:
    """Return the words' parts of all texts."""
    parts = [
        matcher.words(some.to(device), there.to(device))
        for some, there in zip(ids.split(_AT_ONCE), mask.split(_AT_ONCE), strict=True)
    ]
    return Encoded(torch.cat(parts), mask.bool().to(device))


@torch.inference_mode()
def encode_regions(matcher: Matcher, pairs: CaptionPairs, device: str = "cpu") -> Encoded:
    """Return the regions' parts of all images, padded to the most regions of any."""
    parts, there = [], []
    for start in range(0, len(pairs.regions), _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, len(pairs.regions)))
        regions, here, _ = pairs.images(rows, device)
        parts.append(matcher.images(regions, here))
        there.append(here)
    most = max(each.shape[1] for each in there)
    return Encoded(
        torch.cat([nn.functional.pad(each, (0, 0, 0, most - each.shape[1])) for each in parts]),
        torch.cat([nn.functional.pad(each, (0, most - each.shape[1])) for each in there]),
    )
