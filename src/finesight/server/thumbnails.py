"""Thumbnails for the page: an image or a part of it, made small, from a bounded memory."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from finesight.images.archives import ArchiveError, containing, read_member
from finesight.images.open import ImageError, decode_image, image_size
from finesight.server.recent import Recent
from finesight.types import WHOLE, Box

LARGEST = 2048
"""Pixels that the longer side of a thumbnail has at most."""

_QUALITY = 84
_SHRINK = (8, 4, 2)  # what a JPEG decoder can make smaller while it reads


@dataclass(frozen=True)
class Wanted:
    """One thumbnail: which file, in which state, and what of it.

    stamp: tells two states of a file apart; size: pixels of the longer side, at most; box: the
    part of the image, normalised xyxy.
    """

    path: Path
    stamp: str
    size: int
    box: Box = WHOLE


class Thumbnails:
    """Makes JPEG files, and keeps those asked for last, within a budget of bytes."""

    def __init__(self, budget: int) -> None:
        self._kept: Recent[Wanted, bytes] = Recent(budget, len)

    def get(self, wanted: Wanted) -> bytes:
        """Return a thumbnail as a JPEG file; raises ImageError where the image cannot be read.

        It has pixels and nothing else: no place, no camera.
        """
        made = self._kept.get(wanted)
        if made is None:
            made = _render(wanted)
            self._kept.put(wanted, made)
        return made


def stamp_of(path: Path) -> str:
    """Return what tells a file's state from others; raises ImageError where it is gone."""
    try:
        stat = (containing(path) or path).stat()
    except OSError as error:
        raise ImageError("the file is gone or cannot be read") from error
    return f"{stat.st_mtime_ns:x}-{stat.st_size:x}"


def _render(wanted: Wanted) -> bytes:
    try:
        inside = read_member(wanted.path)
        data = wanted.path.read_bytes() if inside is None else inside
    except (OSError, ArchiveError) as error:
        raise ImageError("the file is gone or cannot be read") from error
    width, height = image_size(data)
    x0, y0, x1, y1 = wanted.box
    side = max((x1 - x0) * width, (y1 - y0) * height)
    shrink = next((times for times in _SHRINK if side / times >= wanted.size), 1)
    image = decode_image(data, shrink=shrink)
    x0, y0, x1, y1 = (
        edge * side for edge, side in zip(wanted.box, (image.width, image.height) * 2, strict=True)
    )
    # A part is at least one pixel wide and high.
    x0, y0 = min(x0, image.width - 1), min(y0, image.height - 1)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    scale = min(1.0, wanted.size / max(x1 - x0, y1 - y0))
    target = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    small = image.resize(target, Image.Resampling.LANCZOS, (x0, y0, x1, y1), reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
