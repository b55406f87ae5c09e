"""A small model's weights beside its ONNX files: what training goes on from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from finesight.errors import InputError
from finesight.files import read_json
from finesight.research.networks.small_clip import SmallClip, SmallClipSettings

WEIGHTS = "model.safetensors"
MODEL_TYPE = "finesight-small-clip"

_VISION = ("image_size", "stem", "stages", "blocks", "strides")
_TEXT = {
    "vocab_size": "vocabulary",
    "max_position_embeddings": "longest_text",
    "hidden_size": "text_width",
    "num_hidden_layers": "text_layers",
    "num_attention_heads": "text_heads",
}
"""Of the text tower: what transformers calls a size, and what we do."""


def read_settings(bundle: Path) -> SmallClipSettings | None:
    """Return the sizes of the towers of a bundle that `finesight train encoder` wrote.

    None for a bundle of another architecture, and for one without its weights.
    """
    config = read_json(bundle / "config.json")
    if config.get("model_type") != MODEL_TYPE or not (bundle / WEIGHTS).is_file():
        return None
    vision, text = config["vision_config"], config["text_config"]
    found = {name: vision[name] for name in _VISION}
    found |= {name: text[theirs] for theirs, name in _TEXT.items()}
    sizes: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in found.items()}
    return SmallClipSettings(width=config["projection_dim"], **sizes)


def config_of(network: SmallClip) -> dict[str, Any]:
    """Return the `config.json` that read_settings reads."""
    settings = asdict(network.settings)
    return {
        "model_type": MODEL_TYPE,
        "projection_dim": settings["width"],
        "logit_scale_init_value": round(network.log_scale.item(), 4),
        "vision_config": {name: settings[name] for name in _VISION},
        "text_config": {theirs: settings[name] for theirs, name in _TEXT.items()},
    }


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
