"""A small model's weights beside its ONNX files: what training goes on from."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from finesight.errors import InputError
from finesight.research.networks.small_clip import SmallClip, SmallClipSettings

WEIGHTS = "model.safetensors"
MODEL_TYPE = "finesight-small-clip"


def read_settings(bundle: Path) -> SmallClipSettings | None:
    """Return the sizes of the towers of a bundle that `finesight train encoder` wrote.

    None for a bundle of another architecture, and for one without its weights.
    """
    path = bundle / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if config.get("model_type") != MODEL_TYPE or not (bundle / WEIGHTS).is_file():
        return None
    vision, text = config["vision_config"], config["text_config"]
    return SmallClipSettings(
        vocabulary=text["vocab_size"],
        width=config["projection_dim"],
        image_size=vision["image_size"],
        stem=vision["stem"],
        stages=tuple(vision["stages"]),
        blocks=tuple(vision["blocks"]),
        strides=tuple(vision["strides"]),
        text_width=text["hidden_size"],
        text_layers=text["num_hidden_layers"],
        text_heads=text["num_attention_heads"],
        longest_text=text["max_position_embeddings"],
    )


def save_weights(network: SmallClip, directory: Path) -> None:
    """Write the network's state, normalisations unfolded, to the bundle in `directory`."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    (directory / WEIGHTS).write_bytes(save(state))


def load_weights(network: SmallClip, directory: Path) -> None:
    """Fill the network with the weights of a bundle that `finesight train encoder` wrote.

    Raises InputError where the bundle has none, or those of other sizes or other words.
    """
    path = directory / WEIGHTS
    if not path.is_file():
        raise InputError(
            f"{directory} has no {WEIGHTS}: training goes on from a bundle that "
            "`finesight train encoder` wrote, such as the bundled mini"
        )
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{path} does not fit the model to be trained ({reason}): "
            "start from a model of the same classes and sizes"
        ) from error
