"""Where models are found: bundled, in a folder, in the hub's cache, or on the hub."""

from itertools import chain
from pathlib import Path

from finesight.encoders.onnx import PRECISIONS
from finesight.errors import DataError, InputError, first_line

BUNDLED = {name: Path(__file__).parent / name for name in ("mini", "photo")}
"""Models that come with finesight, by name."""

DEFAULT = "Xenova/clip-vit-base-patch32"
"""The model where none is named: OpenAI's CLIP ViT-B/32 in the hub's ONNX layout."""

# Small files that say what a repository is, and what its towers need beside their weights.
_ABOUT = ["*.json", "*.txt", "*.model"]
_ONNX = ["onnx/vision_model{0}.onnx*", "onnx/text_model{0}.onnx*"]
_CHECKPOINT = [["*.safetensors"]]


def find_model(source: str, precision: str) -> tuple[Path, str]:
    """Return a model's folder, and what finds it again, whatever the folder one works in.

    Raises InputError for a name that is no model's, DataError where it cannot be fetched.
    """
    if source in BUNDLED:
        return BUNDLED[source], source
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder, str(folder.resolve())
    if source.count("/") == 1 and not source.startswith((".", "/", "~")):
        return _from_hub(source, precision), source
    raise InputError(
        f"unknown model {source!r}: name a bundled model ({', '.join(BUNDLED)}), a model folder, "
        f"or a repository of the Hugging Face hub in the ONNX layout, such as {DEFAULT}"
    )


def is_checkpoint(directory: Path) -> bool:
    """Whether a folder looks like a checkpoint of PyTorch: a configuration, and weights or not."""
    suffixes = {path.suffix for path in directory.iterdir()}
    weights = suffixes & {".safetensors", ".bin", ".pt", ".pth"}
    return bool(weights) and (directory / "config.json").is_file()


def _from_hub(repository: str, precision: str) -> Path:
    """Return the folder of a hub repository: from the cache, else downloaded.

    Fetches the ONNX towers of one precision; where there are none, a PyTorch checkpoint's weights.
    """
    import huggingface_hub  # slow to import, and not needed by bundled models
    from huggingface_hub.errors import LocalEntryNotFoundError

    ends = PRECISIONS.get(precision, ("",))
    towers = [[name.format(end) for end in ends] for name in _ONNX]

    def download(files: list[list[str]], cached: bool = False) -> Path:
        wanted = [*_ABOUT, *chain(*files)]
        fetch = huggingface_hub.snapshot_download
        return Path(fetch(repository, allow_patterns=wanted, local_files_only=cached))

    # A download that was interrupted leaves one tower without the other: then the network is asked.
    for files in (towers, _CHECKPOINT):
        try:
            folder = download(files, cached=True)
        except LocalEntryNotFoundError:
            break
        half = files is _CHECKPOINT and (folder / "onnx").is_dir()
        if not half and all(any(next(folder.glob(n), None) for n in names) for names in files):
            return folder
    try:
        names = huggingface_hub.list_repo_files(repository)
        return download(towers if any(n.startswith("onnx/") for n in names) else _CHECKPOINT)
    # The hub's client raises its own, httpx's and the operating system's errors.
    except Exception as error:
        raise DataError(_why_not_fetched(repository, error)) from error


def _why_not_fetched(repository: str, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return (
            f"the model {repository} is gated: accept its terms on its page of the hub and log in "
            "with `hf auth login`, then try again"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"the hub has no model {repository}, or it is private: check the name, or log in with "
            "`hf auth login`"
        )
    return (
        f"the model {repository} could not be fetched from the hub ({first_line(error)}). Check "
        "the name and the network, give a model folder with --model DIR, or try --model photo, "
        "which is bundled and knows what ImageNet's classes are called"
    )
