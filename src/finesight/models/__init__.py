"""Models: an encoder with its prompts and its way of proposing regions, found by name."""

from finesight.models.hub import BUNDLED, DEFAULT
from finesight.models.load import load_model
from finesight.models.model import Model

__all__ = ["BUNDLED", "DEFAULT", "Model", "load_model"]
