"""The matchers by name, and the ensembles that the papers make of them."""

from dataclasses import replace

from torch import Tensor, nn

from finesight.research.networks.adapt import AdaptImageToText, AdaptTextToImage
from finesight.research.networks.matcher import Ensemble, Matcher, MatcherSettings
from finesight.research.networks.scan import ScanImageToText, ScanTextToImage
from finesight.research.networks.sgraf import Filtration, Reasoning

KINDS: dict[str, type[Matcher]] = {
    "scan-t2i": ScanTextToImage,
    "scan-i2t": ScanImageToText,
    "adapt-t2i": AdaptTextToImage,
    "adapt-i2t": AdaptImageToText,
    "sgr": Reasoning,
    "saf": Filtration,
}
"""Matchers that are trained as they are."""

ENSEMBLES = {
    "scan": ("scan-t2i", "scan-i2t"),
    "adapt": ("adapt-t2i", "adapt-i2t"),
    "sgraf": ("sgr", "saf"),
}
"""Matchers whose members are trained apart; their scores are averaged."""


def members(kind: str) -> tuple[str, ...]:
    """Return the kinds that a kind is made of, itself where it is no ensemble."""
    return ENSEMBLES.get(kind, (kind,))


def build_matcher(
    settings: MatcherSettings, tower: nn.Module | None = None, known: Tensor | None = None
) -> Matcher:
    """Return the matcher that settings describe; raises KeyError for an unknown kind."""
    if settings.kind in ENSEMBLES:
        parts = [replace(settings, kind=kind) for kind in ENSEMBLES[settings.kind]]
        return Ensemble(settings, [build_matcher(part, tower, known) for part in parts])
    return KINDS[settings.kind](settings, tower, known)
