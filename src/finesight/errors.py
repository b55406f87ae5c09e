"""The errors that finesight raises: each message says what, where, and what to do."""

import importlib
from typing import Any


class FinesightError(Exception):
    """Anything that finesight can explain; the command line prints it as one line."""


class InputError(FinesightError):
    """An argument, a path or a query that cannot be used (exit code 2)."""


class DataError(FinesightError):
    """A file or a store that is damaged, or of a kind finesight does not read."""


class MissingDependencyError(FinesightError):
    """A part that has to be installed first; the message names the command."""


class ServiceError(FinesightError):
    """Another program that is asked over the network, and does not do its part."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or the name of its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def need(module: str, why: str, extra: str, rest: str = "") -> Any:
    """Import and return a module that may not be installed.

    Raises MissingDependencyError for one that cannot be imported: "{why} (No module named ...):
    pip install 'finesight[{extra}]'{rest}". So before a part that needs PyTorch is imported:
    `need("torch", "training needs PyTorch", "torch")`.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision does not fit torch
        raise MissingDependencyError(
            f"{why} ({error}): pip install 'finesight[{extra}]'{rest}"
        ) from error
