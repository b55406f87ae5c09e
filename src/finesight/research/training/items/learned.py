"""What a step of item training draws from: examples by number, their identities and captions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from finesight.research.training.items.examples import Example
from finesight.research.training.items.recipe import OF_WORDS, ItemRecipe
from finesight.research.training.vocabulary import BEGIN, END, PAD, UNKNOWN, tokens


@dataclass(frozen=True)
class Captions:
    """Tokens and mask (t, w) of captions, with groups (t,) that are equal for equal captions."""

    ids: Tensor
    mask: Tensor
    groups: Tensor

    def rows(self, chosen: Tensor) -> Captions:
        """Return some of them, no wider than the longest of these."""
        mask = self.mask[chosen]
        longest = int(mask.sum(dim=1).max()) if len(chosen) else 0
        return Captions(self.ids[chosen, :longest], mask[:, :longest], self.groups[chosen])


@dataclass(frozen=True)
class Learned:
    """Photos to learn from, by number: who shows the same item, and the captions.

    identities: (n,), -1 where there is none; count: of identities; captions: of all n, an empty one
    where there is none; captioned: (n,), which have one; fixed: the tokens that are no words and
    are never hidden; hidden_id: the token of a hidden word.
    """

    identities: np.ndarray
    count: int
    captions: Captions
    captioned: np.ndarray
    fixed: Tensor
    hidden_id: int

    @staticmethod
    def of(examples: Sequence[Example], tokenizer: Tokenizer) -> Learned:
        """Number the identities and read the captions of some examples."""
        known: dict[Hashable | None, int] = {None: -1}
        identities = [known.setdefault(each.identity, len(known) - 1) for each in examples]
        texts = [each.caption for each in examples]
        ids, mask = tokens(tokenizer, [text or "" for text in texts])
        groups: dict[str | None, int] = {}
        wordings = torch.tensor([groups.setdefault(text, len(groups)) for text in texts])
        return Learned(
            np.array(identities, np.int64),
            len(known) - 1,
            Captions(ids, mask, wordings),
            np.array([text is not None for text in texts], bool),
            torch.tensor([tokenizer.token_to_id(each) for each in (PAD, BEGIN, END)]),
            tokenizer.get_vocab()[UNKNOWN],
        )

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

    def distinct(self) -> Captions:
        """Return each caption once."""
        there = np.flatnonzero(self.captioned)
        _, places = np.unique(self.captions.groups[there].numpy(), return_index=True)
        return self.captions.rows(torch.from_numpy(there[places]))
