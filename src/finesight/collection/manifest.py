"""The small file that says which table of a collection is active, and how it was made."""

import json
from pathlib import Path
from typing import Any

from finesight.errors import DataError, InputError

MANIFEST = "collection.json"
FORMAT = "finesight-collection"
VERSION = 3

PER_MODEL = ("table", "regions", "model", "fusion", "vectors")
"""What differs from model to model; the entries of "others" hold these."""


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
