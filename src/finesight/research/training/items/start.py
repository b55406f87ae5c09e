"""What item training begins from: a bundle's towers, with the words of the captions added."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from finesight.encoders.base import Encoder
from finesight.errors import InputError
from finesight.models import Model
from finesight.research.networks.items import ItemNetwork, ItemSettings
from finesight.research.networks.small_clip import ImageTower, SmallClip
from finesight.research.training.encoder.weights import WEIGHTS, read_settings
from finesight.research.training.items.examples import OF_PAIRS, Example, ItemRecipe, Learned
from finesight.research.training.items.towers import FrozenTower, Tower, TunedTower
from finesight.research.training.items.views import ViewSampler, keep_parts
from finesight.research.training.vocabulary import build_tokenizer, words_of

LONGEST_TEXT = 64  # tokens of a caption


@dataclass(frozen=True)
class ItemStart:
    """What item training begins with; learns: the vision tower, where it learns too."""

    network: ItemNetwork
    tower: Tower
    learned: Learned
    tokenizer: Tokenizer
    learns: ImageTower | None


def start_items(
    model: Model, bundle: Path, found: Sequence[Example], recipe: ItemRecipe, rounds: int | None
) -> ItemStart:
    """Return what the training of a bundle's item head begins with.

    rounds: how many views of each example a frozen tower encodes; None: the tower learns.
    """
    captions = [each.caption for each in found if each.caption is not None]
    tokenizer = caption_tokenizer(bundle, captions)
    network = begin_network(model.encoder, bundle, tokenizer, recipe.seed)
    learns = begin_tower(bundle) if rounds is None else None
    sampler = ViewSampler(keep_parts(found), model.encoder.preprocessing.side, recipe.seed)
    tower: Tower
    if learns is not None:
        tower = TunedTower(learns, sampler)
    else:
        tower = FrozenTower(model.encoder, sampler, rounds or 1, recipe.needs(OF_PAIRS))
    return ItemStart(network, tower, Learned.of(found, tokenizer), tokenizer, learns)


def caption_tokenizer(bundle: Path, captions: Iterable[str]) -> Tokenizer:
    """Return a tokenizer of the bundle's words, where it has a small text tower, and the captions'.

    The bundle's words keep their numbers.
    """
    known: list[str] = []
    if (bundle / WEIGHTS).is_file():
        vocabulary = Tokenizer.from_file(str(bundle / "tokenizer.json")).get_vocab()
        known = sorted(vocabulary, key=vocabulary.__getitem__)[4:]  # behind the special tokens
    return build_tokenizer([*known, *words_of(captions)], LONGEST_TEXT)


def begin_network(encoder: Encoder, bundle: Path, tokenizer: Tokenizer, seed: int) -> ItemNetwork:
    """Return a network over a bundle's embeddings; its text tower knows what the bundle's knows."""
    torch.manual_seed(seed)
    side = encoder.preprocessing.side
    features = encoder.encode_spatial(np.zeros((1, side, side, 3), np.uint8))
    settings = ItemSettings(
        width=encoder.width,
        channels=features.shape[-1],
        vocabulary=tokenizer.get_vocab_size(),
        longest_text=LONGEST_TEXT,
    )
    network = ItemNetwork(settings)
    if (bundle / WEIGHTS).is_file():
        _fill(network.text, _part(bundle, "text."))
    return network


def begin_tower(bundle: Path) -> ImageTower:
    """Return the vision tower of a bundle that `finesight train encoder` wrote, to go on with.

    Raises InputError for a bundle without such weights.
    """
    if (settings := read_settings(bundle)) is None:
        raise InputError(
            f"{bundle} has no {WEIGHTS} to go on from: leave its tower frozen (without --tune), or "
            "name a bundle that `finesight train encoder` wrote, such as mini"
        )
    tower = ImageTower(settings)
    tower.load_state_dict(_part(bundle, "image."))
    return tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def as_small_clip(
    bundle: Path, tower: ImageTower, network: ItemNetwork, tokenizer: Tokenizer
) -> SmallClip:
    """Return a trained vision tower and text tower as one model, to be written as a bundle."""
    old = read_settings(bundle)
    assert old is not None, "the tower came out of this bundle"
    settings = replace(
        old, vocabulary=tokenizer.get_vocab_size(), longest_text=network.settings.longest_text
    )
    model = SmallClip(settings)
    model.image.load_state_dict(tower.state_dict())
    model.text.load_state_dict(network.text.state_dict())
    model.log_scale.data = network.scale().detach().log()
    return model


def _part(bundle: Path, name: str) -> dict[str, Tensor]:
    state: dict[str, Tensor] = load_file(bundle / WEIGHTS)
    return {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}


def _fill(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Take over the weights that fit; of words and positions, those that were there before."""
    for name, own in module.state_dict().items():
        theirs = state.get(name)
        if theirs is not None and theirs.shape[1:] == own.shape[1:] and len(theirs) <= len(own):
            own[: len(theirs)] = theirs
