"""The frozen text tower of a bundle as a module: what it knows of each token, before pooling."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor, nn

from finesight.errors import InputError
from finesight.research.networks.small_clip import SmallClip, SmallClipSettings, TextTower
from finesight.research.training.encoder.weights import WEIGHTS, load_weights


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
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "finesight-small-clip" or not (directory / WEIGHTS).is_file():
        raise InputError(
            f"{directory} has no weights that training can read its token states from: use --words "
            "gru, or a bundle of `finesight train encoder`"
        )
    text, image = config["text_config"], config["vision_config"]
    settings = SmallClipSettings(
        vocabulary=text["vocab_size"],
        width=config["projection_dim"],
        image_size=image["image_size"],
        stem=image["stem"],
        stages=tuple(image["stages"]),
        blocks=tuple(image["blocks"]),
        strides=tuple(image["strides"]),
        text_width=text["hidden_size"],
        text_layers=text["num_hidden_layers"],
        text_heads=text["num_attention_heads"],
        longest_text=text["max_position_embeddings"],
    )
    network = SmallClip(settings)
    load_weights(network, directory)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    return TokenStates(network.text), settings.text_width, tokenizer
