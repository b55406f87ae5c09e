"""What a step of item training draws from: examples by number, their identities and captions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from finesight.research.training.items.examples import Example, numbered
from finesight.research.training.items.recipe import OF_WORDS, ItemRecipe
from finesight.research.training.vocabulary import BEGIN, END, PAD, UNKNOWN, tokens


@dataclass(frozen=True)
class Captions:
    """Tokens and mask (t, w) of captions, with groups (t,) that are equal for equal captions.

    fixed: (t, w), tokens that are no words and are never hidden; hidden_id: the token of a hidden
    word.
    """

    ids: Tensor
    mask: Tensor
    groups: Tensor
    fixed: Tensor
    hidden_id: int

    def rows(self, chosen: Tensor) -> Captions:
        """Return some of them, no wider than the longest of these."""
        mask = self.mask[chosen]
        longest = int(mask.sum(dim=1).max()) if len(chosen) else 0
        ids, fixed = (each[chosen, :longest] for each in (self.ids, self.fixed))
        return Captions(ids, mask[:, :longest], self.groups[chosen], fixed, self.hidden_id)


@dataclass(frozen=True)
class Labels:
    """What is known of some examples (b,).

    identities: (b,), -1 where there is none; captioned: (t,), the places of those with a caption;
    captions: theirs (t,).
    """

    identities: Tensor
    captioned: Tensor
    captions: Captions


@dataclass(frozen=True)
class Learned:
    """Photos to learn from, by number: who shows the same item, and the captions.

    identities: (n,), -1 where there is none; count: of identities; captions: of all n, an empty one
    where there is none; captioned: (n,), which have one.
    """

    identities: np.ndarray
    count: int
    captions: Captions
    captioned: np.ndarray

    @staticmethod
    def of(examples: Sequence[Example], tokenizer: Tokenizer) -> Learned:
        """Number the identities and read the captions of some examples."""
        numbers = numbered(examples)
        known: dict[Hashable | None, int] = {None: -1, **numbers}
        identities = np.array([known[each.identity] for each in examples], np.int64)
        texts = [each.caption for each in examples]
        ids, mask = tokens(tokenizer, [text or "" for text in texts])
        groups = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        fixed = torch.tensor([tokenizer.token_to_id(each) for each in (PAD, BEGIN, END)])
        captions = Captions(
            ids,
            mask,
            torch.tensor([groups[text] for text in texts]),
            torch.isin(ids, fixed),
            tokenizer.get_vocab()[UNKNOWN],
        )
        captioned = np.array([text is not None for text in texts], bool)
        return Learned(identities, len(numbers), captions, captioned)

    def batch(self, recipe: ItemRecipe, step: int) -> np.ndarray:
        """Draw the numbers of a step's examples; things without identity serve words alone."""
        rng = np.random.default_rng([recipe.seed, step])
        labelled = np.flatnonzero(self.identities >= 0)
        others = np.flatnonzero((self.identities < 0) & self.captioned)
        few = 0
        if recipe.needs(OF_WORDS) and len(others):
            few = min(len(others), round(recipe.unlabelled * recipe.batch))
        many = min(len(labelled), recipe.batch - few)
        drawn = [rng.choice(labelled, many, replace=False), rng.choice(others, few, replace=False)]
        return np.concatenate(drawn).astype(np.int64)

    def rows(self, numbers: np.ndarray) -> Labels:
        """Return what is known of some examples, by number."""
        captioned = torch.from_numpy(np.flatnonzero(self.captioned[numbers]))
        captions = self.captions.rows(torch.from_numpy(numbers)[captioned])
        return Labels(torch.from_numpy(self.identities[numbers]), captioned, captions)

    def distinct(self) -> Captions:
        """Return each caption once."""
        there = np.flatnonzero(self.captioned)
        _, places = np.unique(self.captions.groups[there].numpy(), return_index=True)
        return self.captions.rows(torch.from_numpy(there[places]))
