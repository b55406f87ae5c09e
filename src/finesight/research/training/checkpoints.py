"""A training run's state on disk: written whole or not at all, and read without running code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from finesight.errors import DataError, InputError
from finesight.files import atomic


def save_checkpoint(path: Path, settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write the state and the settings it belongs to; a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as unfinished:
        torch.save({"settings": dict(settings), "state": dict(state)}, unfinished)


def load_checkpoint(path: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state saved at `path`, or None if there is none.

    Raises DataError for a file that is damaged and InputError for one of other settings.
    """
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        state, theirs = saved["state"], saved["settings"]
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} is not a readable checkpoint: delete it to start again") from error
    names = {*settings, *theirs}
    changed = sorted(name for name in names if settings.get(name) != theirs.get(name))
    if changed:
        raise InputError(
            f"{path} is the checkpoint of a run with other settings ({', '.join(changed)}): "
            "repeat that run's command, or delete the file to start again"
        )
    return dict(state)
