"""Reads checkpoints of Hugging Face transformers, quietly and without pickles."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finesight.errors import DataError, first_line, need
from finesight.files import read_json

_WITHOUT_WEIGHTS = ("AutoTokenizer", "AutoProcessor")


def load_part(kind: str, directory: Path, **settings: Any) -> Any:
    """Load a part of a checkpoint by its class in transformers ("AutoTokenizer"), models in eval.

    settings: for its `from_pretrained`. Raises DataError where it is not there or damaged, or its
    weights are pickled only, MissingDependencyError without transformers.
    """
    transformers = need("transformers", "PyTorch checkpoints need transformers", "torch")
    safe = {} if kind in _WITHOUT_WEIGHTS else {"use_safetensors": True}
    with _quiet(transformers):
        try:
            part = getattr(transformers, kind).from_pretrained(
                directory, local_files_only=True, **safe, **settings
            )
        # transformers raises its own, safetensors' and PyTorch's errors.
        except Exception as error:
            raise DataError(_why_not(kind, directory, error)) from error
    return part.eval() if safe else part


def processor_file(directory: Path) -> Path:
    """Return the file of a checkpoint that says how it wants its pixels."""
    usual, other = directory / "preprocessor_config.json", directory / "processor_config.json"
    return other if other.is_file() and not usual.is_file() else usual


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Hide the notes and bars that transformers writes while it loads; errors still raise."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _why_not(kind: str, directory: Path, error: Exception) -> str:
    reason = first_line(error)
    if kind == "AutoTokenizer":
        return f"{directory} has no tokenizer that can be read ({reason}): download the model again"
    pickled = [p.name for kind in ("bin", "pt*") for p in sorted(directory.glob(f"*.{kind}"))]
    if pickled and not list(directory.glob("*.safetensors")):
        return (
            f"{directory} has its weights as a pickle only ({pickled[0]}), which could run any "
            "program when it is read: take a revision with model.safetensors, or convert it "
            "where you trust its source (transformers' save_pretrained writes safetensors)"
        )
    model = read_json(directory / "config.json").get("model_type", "unknown")
    return (
        f"{directory} (a model of type {model}) cannot be loaded ({reason}): download it again, or "
        "update transformers"
    )
