"""Trains matchers on image–caption pairs, the members of an ensemble one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from finesight.errors import InputError
from finesight.research.networks.matcher import (
    Encoded,
    Ensemble,
    Matcher,
    MatcherSettings,
    all_scores,
)
from finesight.research.networks.matcher_kinds import build_matcher, members
from finesight.research.networks.small_clip import SmallClip, TextTower
from finesight.research.training.encoder.weights import load_weights, read_settings
from finesight.research.training.matcher.loop import RECIPES, PairModel, Recipe, train_pairs
from finesight.research.training.matcher.pairs import AT_ONCE, CaptionPairs
from finesight.research.training.run import ALONE, Run
from finesight.research.training.vocabulary import tokens

LONGEST_CAPTION = 64  # tokens: longer ones are cut


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

    @torch.inference_mode()
    def all_scores(self) -> np.ndarray:
        """Return the scores (n, t) of all images with all captions."""
        ids, mask, device = self._ids, self._mask, self.device
        words = [
            self.module.words(some.to(device), there.to(device))
            for some, there in zip(ids.split(AT_ONCE), mask.split(AT_ONCE), strict=True)
        ]
        texts = Encoded(torch.cat(words), mask.bool().to(device))
        scores: np.ndarray = all_scores(self.module, self.encode_regions(), texts).numpy()
        return scores

    @torch.inference_mode()
    def encode_regions(self) -> Encoded:
        """Return the regions' parts of all images, padded to the most regions of any."""
        parts, there = list[Tensor](), list[Tensor]()
        for rows in self.pairs.blocks():
            regions, here, _ = self.pairs.images(rows, self.device)
            parts += self.module.images(regions, here)
            there += here
        return Encoded(*(pad_sequence(each, batch_first=True) for each in (parts, there)))


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


class TokenStates(nn.Module):
    """The states of every token behind the last layer of a small model's text tower."""

    def __init__(self, tower: TextTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask (t, w) → states (t, w, text_width)."""
        return self.tower.norm(self.tower.states(input_ids, attention_mask))


def token_tower(directory: Path) -> tuple[nn.Module, int, Tokenizer]:
    """Return a bundle's text tower up to its tokens' states, their width, and its tokenizer.

    Only for bundles of `finesight train encoder`, such as mini, which keep their weights. Raises
    InputError for others.
    """
    settings = read_settings(directory)
    if settings is None:
        raise InputError(
            f"{directory} has no weights that training can read its token states from: use --words "
            "gru, or a bundle of `finesight train encoder`"
        )
    network = SmallClip(settings)
    load_weights(network, directory)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    return TokenStates(network.text), settings.text_width, tokenizer
