"""Pure geometry from an image's size to boxes (p, 4), normalised xyxy; the first is the whole."""

from finesight.proposals.geometry.complete_cover import complete_cover
from finesight.proposals.geometry.cover import cover, cover_rate
from finesight.proposals.geometry.grid import grid
from finesight.proposals.geometry.square import square_around

__all__ = ["complete_cover", "cover", "cover_rate", "grid", "square_around"]
