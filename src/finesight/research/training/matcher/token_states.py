"""The frozen text tower of a bundle as a module: what it knows of each token, before pooling."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor, nn

from finesight.errors import InputError
from finesight.research.networks.small_clip import SmallClip, TextTower
from finesight.research.training.encoder.weights import load_weights, read_settings


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
