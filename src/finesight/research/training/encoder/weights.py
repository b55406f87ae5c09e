"""A small model's weights beside its ONNX files: what training goes on from."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from finesight.errors import InputError
from finesight.research.networks.small_clip import SmallClip

WEIGHTS = "model.safetensors"


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
