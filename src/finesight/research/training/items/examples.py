"""What items are learned from, and how: things in photos, who else shows them, their captions.

Examples are read, and then numbered as `Learned`, from which the steps of training draw.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from finesight.errors import InputError
from finesight.research.datasets import clevr_ds, read_items
from finesight.research.datasets.captions import read_captions
from finesight.research.datasets.clevr_ds import SceneSet
from finesight.research.datasets.item_captions import described as caption_subjects
from finesight.research.datasets.item_captions import template_caption
from finesight.research.datasets.records import CaptionSet, ItemSet, LabelledImage, Photo, View
from finesight.research.training.encoder.concepts import article
from finesight.research.training.vocabulary import BEGIN, END, PAD, UNKNOWN, tokens
from finesight.types import Box

LOSSES = ("arcface", "itc", "itm", "box", "mlm")
"""The losses by name."""

OF_WORDS = ("itc", "itm", "box", "mlm")
"""Those that need captions."""

OF_PAIRS = ("itm", "box", "mlm")
"""Those that need the cross-modal encoder, and so the tower's feature maps."""


@dataclass(frozen=True)
class ItemRecipe:
    """What decides a run besides its data.

    losses: their weights, by name; rate, tower_rate: the highest learning rates of what begins
    from nothing, and of towers that were trained before; unlabelled: the share of a batch whose
    things have a caption and no identity, where there are such; pairs: how many things of a batch
    the cross-modal encoder sees, at most, as it costs more than all else; patience: validations
    without a better one before it stops.
    """

    losses: Mapping[str, float] = field(default_factory=lambda: {"arcface": 1.0})
    steps: int = 300
    batch: int = 192
    rate: float = 1e-3
    tower_rate: float = 5e-4
    warm_up: int = 20
    weight_decay: float = 0.02
    unlabelled: float = 0.25
    pairs: int = 64
    validate_every: int = 30
    patience: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for losses that there are not, or none."""
        unknown = sorted(set(self.losses) - set(LOSSES))
        if unknown or not self.losses:
            raise InputError(
                f"unknown losses {', '.join(unknown) or '(none)'}: use some of {', '.join(LOSSES)}"
            )

    def needs(self, names: Sequence[str]) -> bool:
        """Whether any of some losses is asked for."""
        return any(name in self.losses for name in names)


@dataclass(frozen=True)
class Example:
    """One thing in one photo.

    identity: None for a thing of which nothing is known but its caption; caption: None for a thing
    without one.
    """

    photo: Photo | LabelledImage
    box: Box
    identity: Hashable | None
    caption: str | None


def examples(items: ItemSet, say: Callable[[View], str | None]) -> list[Example]:
    """Return the items of all photos, with what `say` says of them."""
    views = [*items.views("shop"), *items.views("user")]
    return [Example(view.photo, view.thing.box, view.identity, say(view)) for view in views]


def described(scenes: SceneSet) -> list[Example]:
    """Return the objects of rendered scenes with detailed captions and without identities."""
    return [
        Example(image, each.box, None, _sentence(each.material, each.color, each.class_name))
        for image in scenes.images
        for each in image.objects
        if each.role == "query"
    ]


def detailed(view: View) -> str:
    """Say what a rendered item is, as a person would: its material, colour and category.

    Raises InputError for items whose identity does not tell them.
    """
    match view.identity:
        case (str(name), int(), str(color), str(material)):
            return _sentence(material, color, name)
    raise InputError(
        f"{view.photo.path} does not say what colour and material its item has, as rendered items "
        "do: take captions by template, by category, or from a file"
    )


CAPTIONS: Mapping[str, Callable[[View], str]] = {
    "template": lambda view: template_caption(view.thing),
    "category": lambda view: _sentence(view.thing.category),
    "detailed": detailed,
}
"""The ways to say what an item is, by name: its category and how it is seen (METHODS.md 5), its
category alone, or as a person would."""


def from_captions(captions: CaptionSet, items: ItemSet) -> Callable[[View], str | None]:
    """Say what a caption file says, such as that of a dialogue; None of photos that it leaves out.

    The captions of a photo are of the things that `described` names, in order; where there are
    fewer, the first is of all of them. Raises InputError where it knows none of the photos.
    """
    said: dict[str, list[str]] = {}
    for owner, caption in zip(captions.owner.tolist(), captions.captions, strict=True):
        said.setdefault(captions.images[owner], []).append(caption)
    names = [items.relative(photo) for photo in items.photos]
    if not any(name in said for name in names):
        raise InputError(
            f"{captions.name} captions none of the photos of {items.name} (it names "
            f"{captions.images[0]}, they are such as {names[0]}): name the captions of this set"
        )

    def say(view: View) -> str | None:
        texts = said.get(items.relative(view.photo), [])
        place = caption_subjects(view.photo).index(view.thing)
        return texts[place if place < len(texts) else 0] if texts else None

    return say


def _sentence(*words: str) -> str:
    noun = " ".join(words)
    return f"an image of {article(noun)} {noun}"


def read_examples(
    datasets: Sequence[Path],
    scenes: Sequence[Path],
    captions: str,
    report: Callable[[ItemSet], None] = lambda items: None,
) -> list[Example]:
    """Return the things of shop and user photos with their captions, and those of scenes.

    scenes: rendered sets whose objects teach words alone; captions: one of CAPTIONS, or a file of
    captions; report: is called with each set, whose problems it may tell. Raises InputError where
    no item is shown twice, and for unknown captions.
    """
    if captions not in CAPTIONS and not Path(captions).exists():
        raise InputError(
            f"unknown captions {captions!r}: use {', '.join(CAPTIONS)}, or name a file of captions"
        )
    found: list[Example] = []
    for place in datasets:
        items = read_items(place)
        report(items)
        say = CAPTIONS.get(captions) or from_captions(read_captions(Path(captions)), items)
        found += examples(items, say)
    if not any(each.identity is not None for each in found):
        raise InputError(
            f"{', '.join(map(str, datasets))}: no photo shows an item that others show too (its "
            "style is 0 everywhere): name a set with pairs"
        )
    for place in scenes:
        found += described(clevr_ds.load(place))
    return found


@dataclass(frozen=True)
class Captions:
    """Tokens and mask (t, w) of captions, with groups (t,) that are equal for equal captions."""

    ids: Tensor
    mask: Tensor
    groups: Tensor

    def rows(self, chosen: Tensor) -> "Captions":
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
    def of(examples: Sequence[Example], tokenizer: Tokenizer) -> "Learned":
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
        most = round(recipe.unlabelled * recipe.batch) if recipe.needs(OF_WORDS) else 0
        few = min(len(others), most)
        many = min(len(labelled), recipe.batch - few)
        drawn = [rng.choice(labelled, many, replace=False), rng.choice(others, few, replace=False)]
        return np.concatenate(drawn).astype(np.int64)

    def distinct(self) -> "Captions":
        """Return each caption once."""
        there = np.flatnonzero(self.captioned)
        _, places = np.unique(self.captions.groups[there].numpy(), return_index=True)
        return self.captions.rows(torch.from_numpy(there[places]))
