"""Options that mean the same in every command, and the folders that they stand for."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import platformdirs
import typer

from finesight.errors import InputError

if TYPE_CHECKING:
    from finesight.collection import Collection
    from finesight.models import Model


def option(help: str, *names: str, **settings: Any) -> Any:
    """Return what makes an option of a parameter: its help first, then as `typer.Option` has it."""
    return typer.Option(*names, help=help, **settings)


CollectionOption = Annotated[
    str | None,
    option(
        "A collection's name in your data folder, or its folder (with a slash, or one that is "
        "there); else $FINESIGHT_COLLECTION, else the collection of your data folder.",
        "--collection",
    ),
]
ModelOption = Annotated[
    str | None,
    option(
        "A bundled model (photo: ImageNet's things in photographs; mini: rendered objects only), a "
        "model folder, or a hub repository.",
        "--model",
    ),
]
ImagesOption = Annotated[Path | None, option("The folder of the images that a JSON file names.")]
JsonOption = Annotated[bool, option("Print the result as JSON.", "--json")]

# Where earlier versions kept collections, whatever the registry or $XDG_DATA_HOME say there.
_EARLIER = {"darwin": "~/Library/Application Support", "win32": "$LOCALAPPDATA"}


def collection_folder(given: str | None) -> Path:
    """Return the folder of a collection: as given, from the environment, or the user's.

    A name without a slash is a collection in the data folder, unless such a folder is there.
    """
    if given == "":
        raise InputError("--collection is empty: give a name or a folder, or leave it out")
    named = given or os.environ.get("FINESIGHT_COLLECTION")
    if not named:
        return data_folder() / "collection"
    folder = Path(named).expanduser()
    is_folder = "/" in named or os.sep in named or folder.is_dir()
    return folder if is_folder else data_folder() / named


def open_collection(given: str | None, model: str | None = None) -> "Collection":
    """Open the collection that `--collection` means, with the model that `--model` names."""
    from finesight.collection import Collection

    return Collection.open(collection_folder(given), model)


def open_model(given: str | None) -> "Model":
    """Load the model that `--model` names, the default one where it is not given."""
    from finesight.models import DEFAULT, load_model

    return load_model(given or DEFAULT)


def data_folder() -> Path:
    """Return the folder in which the user's collections lie."""
    earlier = Path(os.path.expandvars(_EARLIER.get(sys.platform, ""))).expanduser() / "finesight"
    if sys.platform in _EARLIER and earlier.is_dir():
        return earlier
    return platformdirs.user_data_path("finesight", appauthor=False)


def cache_folder() -> Path:
    """Return the folder for what can be had again, such as a language model's answers."""
    return platformdirs.user_cache_path("finesight", appauthor=False, opinion=False)
