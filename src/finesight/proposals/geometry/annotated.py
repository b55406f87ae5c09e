"""The region around a known box: what a perfect detector would give (DetailCLIP's "patch-obj")."""

from finesight.types import Box

_MARGIN = 1.12  # side of the square over the box's longer side (METHODS.md, 1)


def square_around(box: Box, width: int, height: int) -> Box:
    """Return the normalised square, 1.12 x the box's longer side, shifted to stay inside.

    Where the image is narrower than that, the crop is as wide as the image.
    """
    scale = (width, height)
    side = _MARGIN * max((box[2] - box[0]) * width, (box[3] - box[1]) * height)
    edges = []
    for axis in (0, 1):
        length = min(side, scale[axis])
        centre = (box[axis] + box[axis + 2]) / 2 * scale[axis]
        start = min(max(centre - length / 2, 0.0), scale[axis] - length)
        edges.append((start / scale[axis], min((start + length) / scale[axis], 1.0)))
    (x0, x1), (y0, y1) = edges
    return x0, y0, x1, y1
