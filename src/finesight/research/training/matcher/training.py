"""Trains matchers on image–caption pairs, the members of an ensemble one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from finesight.research.networks.blockwise import Encoded, all_scores
from finesight.research.networks.matcher import Ensemble, Matcher, MatcherSettings
from finesight.research.networks.matcher_kinds import build_matcher, members
from finesight.research.training.matcher.loop import (
    ADAPT,
    SCAN,
    SGRAF,
    PairModel,
    Recipe,
    train_pairs,
)
from finesight.research.training.matcher.pairs import AT_ONCE, CaptionPairs
from finesight.research.training.run import ALONE, Run
from finesight.research.training.vocabulary import tokens

LONGEST_CAPTION = 64  # tokens: longer ones are cut

RECIPES: dict[str, Recipe] = {
    "scan-t2i": SCAN,
    "scan-i2t": SCAN,
    "adapt-t2i": ADAPT,
    "adapt-i2t": ADAPT,
    "sgr": SGRAF,
    "saf": SGRAF,
}
"""How the papers train each kind."""


class MatcherOnPairs(PairModel):
    """A matcher with the tokens of some captions."""

    module: Matcher

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


def train_matcher(
    settings: MatcherSettings,
    training: CaptionPairs,
    validation: CaptionPairs,
    tokenizer: Tokenizer,
    recipe: Callable[[str], Recipe] = RECIPES.__getitem__,
    run: Run = ALONE,
    *,
    tower: nn.Module | None = None,
    known: Tensor | None = None,
) -> tuple[Matcher, float]:
    """Return a trained matcher, and the sum of its recalls on the validation pairs.

    recipe: gives each kind's; tower, known: see Matcher. The members of an ensemble are trained one
    after the other, each as a part of the run.
    """
    trained = []
    for kind in members(settings.kind):
        member, how = replace(settings, kind=kind), recipe(kind)
        torch.manual_seed(how.seed)
        matcher = build_matcher(member, tower, known)
        model, held = (
            MatcherOnPairs(matcher, pairs, tokenizer, run.device)
            for pairs in (training, validation)
        )
        train_pairs(model, held, how, run.of(kind), asdict(member))
        trained.append(matcher)
    whole = trained[0] if len(trained) == 1 else Ensemble(settings, trained)
    return whole.eval(), MatcherOnPairs(whole, validation, tokenizer, run.device).rsum()


@torch.inference_mode()
def encode_captions(matcher: Matcher, ids: Tensor, mask: Tensor, device: str = "cpu") -> Encoded:
    """Return the words' parts of all texts."""
    parts = [
        matcher.words(some.to(device), there.to(device))
        for some, there in zip(ids.split(AT_ONCE), mask.split(AT_ONCE), strict=True)
    ]
    return Encoded(torch.cat(parts), mask.bool().to(device))


@torch.inference_mode()
def encode_regions(matcher: Matcher, pairs: CaptionPairs, device: str = "cpu") -> Encoded:
    """Return the regions' parts of all images, padded to the most regions of any."""
    parts, there = list[Tensor](), list[Tensor]()
    for rows in pairs.blocks():
        regions, here, _ = pairs.images(rows, device)
        parts += matcher.images(regions, here)
        there += here
    return Encoded(pad_sequence(parts, batch_first=True), pad_sequence(there, batch_first=True))
