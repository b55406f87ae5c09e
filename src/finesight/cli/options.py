"""Options that mean the same in every command."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

CollectionOption = Annotated[
    Path | None,
    typer.Option(
        "--collection",
        help="The collection's folder; else $FINESIGHT_COLLECTION, else one in your data folder.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A bundled model (mini: rendered objects only), a model folder, or a hub repository.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def collection_folder(given: Path | None) -> Path:
    """Return the folder of the collection: as given, from the environment, or the user's."""
    if given is not None:
        return given
    if named := os.environ.get("FINESIGHT_COLLECTION"):
        return Path(named)
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return data / "finesight" / "collection"


def cache_folder() -> Path:
    """Return the folder for what can be had again, such as a language model's answers."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "finesight"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "finesight"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "finesight"
