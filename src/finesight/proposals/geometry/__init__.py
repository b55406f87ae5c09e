"""Where to look: pure geometry from an image's size to boxes; the first is the whole image."""

import re
from collections.abc import Callable

from finesight.errors import InputError
from finesight.proposals.geometry.annotated import square_around
from finesight.proposals.geometry.complete_cover import Spacing, complete_cover
from finesight.proposals.geometry.cover import cover, cover_rate
from finesight.proposals.geometry.grid import grid
from finesight.types import Float32

__all__ = [
    "Regions",
    "complete_cover",
    "cover",
    "cover_rate",
    "grid",
    "parse_regions",
    "square_around",
]

Regions = Callable[[int, int], Float32]
"""A scheme: (width, height) in pixels -> boxes (p, 4), normalised xyxy, boxes[0] the whole."""

_COVER = re.compile(r"cover([0-9]{1,5})r([0-9]{1,2}(?:\.[0-9])?)")
_NAME = re.compile(r"(?P<kind>cc|grid)(?P<n>[0-9]{1,2})(?P<paper>-paper)?")


def parse_regions(name: str) -> Regions:
    """Return the scheme of a name: full, cc10 (even spacing), cc10-paper, grid10 or cover24r4.

    cover24r4 covers objects of 24 pixels and more with windows of at most 4 times their size.

    Raises InputError for any other name.
    """
    if name == "full":
        return lambda width, height: grid(width, height, 1)[:1]
    built = _COVER.fullmatch(name)
    if built is not None:
        smallest, r = float(built[1]), float(built[2])
        cover(64, 64, smallest, r)  # refuses what makes no sense before any image is looked at
        return lambda width, height: cover(width, height, smallest, r)
    match = _NAME.fullmatch(name)
    if match is None or int(match["n"]) < 1 or (match["kind"] == "grid" and match["paper"]):
        raise InputError(
            f"unknown regions {name!r}: use full, ccN (Complete Cover, such as cc10), "
            "ccN-paper (with the paper's spacing), gridN, or coverPXrR (such as cover24r4)"
        )
    n = int(match["n"])
    if match["kind"] == "grid":
        return lambda width, height: grid(width, height, n)
    spacing: Spacing = "paper" if match["paper"] else "even"
    return lambda width, height: complete_cover(width, height, n, spacing)
