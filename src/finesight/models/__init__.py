"""Models: an encoder with its way of looking and prompting, found by name."""

from dataclasses import dataclass
from pathlib import Path

from finesight.encoders import Encoder
from finesight.encoders.onnx import OnnxEncoder
from finesight.errors import DataError, InputError
from finesight.models.bundle import read_manifest

__all__ = ["BUNDLED", "DEFAULT", "Model", "load_model"]

BUNDLED = {"mini": Path(__file__).parent / "mini"}
"""Models that come with finesight, by name."""

DEFAULT = "Xenova/clip-vit-base-patch32"
"""The model where none is named: OpenAI's CLIP ViT-B/32 in the hub's ONNX layout."""

_HUB_FILES = [
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "finesight.json",
    "onnx/vision_model.onnx*",
    "onnx/text_model.onnx*",
]


@dataclass(frozen=True)
class Model:
    """A model ready to use.

    source: what was asked for, which finds it again; prompt: a template with one {};
    regions: the scheme it looks with unless told; fingerprint: identifies the embeddings.
    """

    source: str
    name: str
    encoder: Encoder
    prompt: str
    regions: str
    fingerprint: str


def load_model(source: str = DEFAULT) -> Model:
    """Load a bundled model ("mini"), a model folder, or a repository of the hub ("owner/name").

    Raises InputError for a name that is none of these, DataError for a damaged model.
    """
    directory, source = _find(source)
    manifest = read_manifest(directory)
    return Model(
        source=source,
        name=manifest.name,
        encoder=OnnxEncoder(directory),
        prompt=manifest.prompt,
        regions=manifest.regions,
        fingerprint=manifest.fingerprint,
    )


def _find(source: str) -> tuple[Path, str]:
    if source in BUNDLED:
        return BUNDLED[source], source
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder, str(folder.resolve())
    if source.count("/") == 1 and not source.startswith((".", "/", "~")):
        return _from_hub(source), source
    raise InputError(
        f"unknown model {source!r}: name a bundled model ({', '.join(BUNDLED)}), a model folder, "
        f"or a repository of the Hugging Face hub in the ONNX layout, such as {DEFAULT}"
    )


def _from_hub(repository: str) -> Path:
    """Return the folder of a hub repository: from the cache, else downloaded."""
    import huggingface_hub  # slow to import, and not needed by bundled models
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        cached = Path(
            huggingface_hub.snapshot_download(
                repository, allow_patterns=_HUB_FILES, local_files_only=True
            )
        )
        if (cached / "onnx" / "vision_model.onnx").exists():
            return cached
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=_HUB_FILES))
    # The hub's client raises its own, httpx's and the operating system's errors.
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise DataError(
            f"the model {repository} could not be fetched from the hub "
            f"({reason[0] if reason else type(error).__name__}). Check the name and the network, "
            "give a model folder with --model DIR, or try --model mini, which is bundled and "
            "knows rendered objects only"
        ) from error
