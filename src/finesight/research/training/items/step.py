"""All losses of one step of item training, of views that a tower has encoded.

Shapes: b views, t of them with a caption, w words.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.research.networks.items import ItemNetwork
from finesight.research.training.items.learned import Captions, Labels
from finesight.research.training.items.losses import (
    ArcFace,
    box_loss,
    hard_negatives,
    itc,
    itm,
    mask_words,
    mlm,
)
from finesight.research.training.items.recipe import OF_PAIRS, OF_WORDS, ItemRecipe
from finesight.research.training.items.towers import EncodedViews


@dataclass(frozen=True)
class StepLosses:
    """The losses of a step by name, those alone that the recipe asks for.

    generator: decides which pairs, negatives and hidden words the step has.
    """

    network: ItemNetwork
    arcface: ArcFace
    recipe: ItemRecipe
    generator: torch.Generator

    def __call__(self, views: EncodedViews, labels: Labels) -> dict[str, Tensor]:
        """Return the losses of some views (b,) with what is known of their examples (b,)."""
        network, recipe, found = self.network, self.recipe, dict[str, Tensor]()
        items = network.head(views.regions)
        labelled = labels.identities >= 0
        if "arcface" in recipe.losses and bool(labelled.any()):
            found["arcface"] = self.arcface(items[labelled], labels.identities[labelled])
        captions, captioned = labels.captions, labels.captioned
        if not recipe.needs(OF_WORDS) or len(captioned) < 2:
            return found
        texts = network.texts(captions.ids, captions.mask)
        scores = network.scale() * items[captioned] @ texts.T
        if "itc" in recipe.losses:
            found["itc"] = itc(scores, captions.groups)
        if views.features is not None and recipe.needs(OF_PAIRS):
            few = torch.randperm(len(captioned), generator=self.generator)[: recipe.pairs]
            found |= self._of_pairs(
                views.rows(captioned[few]), captions.rows(few), scores[few][:, few]
            )
        return found

    def _of_pairs(
        self, views: EncodedViews, captions: Captions, scores: Tensor
    ) -> dict[str, Tensor]:
        """Return the losses of the cross-modal encoder, view i beside caption i."""
        network, losses, found = self.network, self.recipe.losses, dict[str, Tensor]()
        assert views.features is not None
        ids, mask = captions.ids, captions.mask
        parts = network.parts(views.features, network.head(views.whole))
        states = network.words(ids, mask)
        seen = network.cross(states, mask, parts)
        if "itm" in losses:
            texts, images = _harder(scores, captions.groups, self.generator)
            others = network.cross(states[texts], mask[texts], parts[images])
            found["itm"] = itm(network.match(seen), network.match(others))
        if "box" in losses and bool(views.loose.any()):
            x0, y0, x1, y1 = views.boxes[views.loose].T
            wanted = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=1)
            found["box"] = box_loss(network.find(seen[views.loose]), wanted)
        if "mlm" in losses:
            shown, hidden = mask_words(ids, captions.fixed, captions.hidden_id, self.generator)
            blanks = network.cross(network.words(shown, mask), mask, parts)
            found["mlm"] = mlm(network.word(blanks), ids, hidden)
        return found


def _harder(scores: Tensor, groups: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw pairs that do not belong together: each object with another's caption, and the reverse.

    Returns the numbers (n,) of the captions and of the objects.
    """
    texts = hard_negatives(scores, groups, generator)
    images = hard_negatives(scores.T, groups, generator)
    there = texts >= 0
    own = torch.arange(len(scores))[there]
    return torch.cat([texts[there], own]), torch.cat([own, images[there]])
