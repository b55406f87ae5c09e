"""The small file that says which table of a collection is active, and how it was made."""

import json
from pathlib import Path
from typing import Any

from finesight.errors import DataError, InputError

MANIFEST = "collection.json"
FORMAT = "finesight-collection"
VERSION = 3

_PER_MODEL = ("table", "regions", "model", "fusion", "vectors", "own_space")
"""What differs from model to model: of the active one beside the rest, of the others under
"others", by fingerprint. own_space: only the fusion's own text head can ask its vectors."""


def read_settings(directory: Path) -> dict[str, Any]:
    """Return what `collection.json` says, or nothing where there is none."""
    path = directory / MANIFEST
    if not path.exists():
        if directory.exists() and not directory.is_dir():
            raise InputError(f"{directory} is a file: name a folder for the collection")
        return {}
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if settings["format"] != FORMAT or settings["version"] > VERSION:
            raise DataError(
                f"{path} has format {settings['format']!r} version {settings['version']}; this "
                f"finesight reads up to version {VERSION}: update finesight"
            )
        settings["model"]["source"], settings["model"]["fingerprint"], settings["table"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}): remove {directory} and index again"
        ) from error
    return settings


def write_settings(directory: Path, settings: dict[str, Any]) -> None:
    """Replace `collection.json` in one step."""
    temporary = directory / f"{MANIFEST}.new"
    temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    temporary.replace(directory / MANIFEST)


def activate(settings: dict[str, Any], fingerprint: str) -> dict[str, Any]:
    """Return the settings with another model's table as the active one, the old one kept."""
    others = dict(settings["others"])
    chosen = others.pop(fingerprint)
    others[settings["model"]["fingerprint"]] = {key: settings.get(key) for key in _PER_MODEL}
    active = {key: chosen.get(key) for key in _PER_MODEL}
    return {**settings, **active, "others": others}
