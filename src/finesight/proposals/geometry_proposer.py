"""Windows that are known from an image's size alone: Complete Cover, a grid, a measured cover."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from finesight.encoders import Preprocessing
from finesight.encoders.capabilities import Capabilities
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.proposals.geometry import Spacing, complete_cover, cover, grid
from finesight.proposals.proposer import Proposals, unknown_regions
from finesight.types import Float32, UInt8

Regions = Callable[[int, int], Float32]
"""A scheme: (width, height) in pixels -> boxes (p, 4), normalised xyxy, boxes[0] the whole."""

_COVER = re.compile(r"cover([0-9]{1,5})r([0-9]{1,2}(?:\.[0-9])?)")
_NAME = re.compile(r"(?P<kind>cc|grid)(?P<n>[0-9]{1,2})(?P<paper>-paper)?")


@dataclass(frozen=True)
class GeometryProposer:
    """The windows of a geometric scheme."""

    regions: Regions

    def finest(self, width: int, height: int) -> Float32:
        """Return all of its boxes."""
        return self.regions(width, height)

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return its boxes for an image of this size, all of them with crops."""
        boxes = self.regions(*picture.size)
        return Proposals(boxes), preprocessing.cut(picture.image, boxes)

    def forward_passes(self, width: int, height: int) -> float:
        """Return the number of windows."""
        return float(len(self.regions(width, height)))


def build_geometry(name: str, capabilities: Capabilities) -> GeometryProposer:
    """Return the proposer of a name of `parse_regions`, which needs nothing of a model."""
    return GeometryProposer(parse_regions(name))


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
        cover(64, 64, smallest, r)  # refuses what makes no sense before any image is read
        return lambda width, height: cover(width, height, smallest, r)
    match = _NAME.fullmatch(name)
    if match is None or int(match["n"]) < 1 or (match["kind"] == "grid" and match["paper"]):
        raise unknown_regions(name)
    n = int(match["n"])
    if match["kind"] == "grid":
        return lambda width, height: grid(width, height, n)
    spacing: Spacing = "paper" if match["paper"] else "even"
    return lambda width, height: complete_cover(width, height, n, spacing)


def cover_for(smallest: float, effective_scale: float) -> str:
    """Return the name of the cover in which a thing of `smallest` pixels is still named.

    effective_scale: of the model, the smallest share of a crop's side that a thing may take.
    """
    if smallest < 1:
        raise InputError(f"the smallest object has at least 1 pixel, got {smallest:g}")
    return f"cover{smallest:.0f}r{max(1.1, 1 / effective_scale):.1f}"
