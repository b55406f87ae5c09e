"""What EXIF says of a photo: how the camera was held, which one it was, and when."""

import contextlib
from datetime import datetime
from typing import Any

from PIL import Image

ORIENTATION, _MAKE, _MODEL, _CHANGED = 0x0112, 0x010F, 0x0110, 0x0132
_EXIF_IFD, _TAKEN, _DIGITISED = 0x8769, 0x9003, 0x9004

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_exif(image: Image.Image) -> dict[int, Any]:
    """Return the EXIF tags of an image; none where they are damaged: pixels are what counts.

    Pillow raises as many kinds of exception on damaged tags as on damaged pixels.
    """
    try:
        exif = image.getexif()
        return {**exif, **exif.get_ifd(_EXIF_IFD)}
    except Exception:
        return {}


def orientation(exif: dict[int, Any]) -> int:
    """Return how the camera was held, 1 to 8; 1 is upright."""
    value = exif.get(ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn or mirror an image by its orientation."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def taken(exif: dict[int, Any]) -> datetime | None:
    """Return when the photo was taken, by the camera's clock."""
    for tag in (_TAKEN, _DIGITISED, _CHANGED):
        with contextlib.suppress(TypeError, ValueError):
            text = str(exif[tag]).strip("\0 ") if tag in exif else ""
            return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S")
    return None


def camera(exif: dict[int, Any]) -> str | None:
    """Return maker and model, the maker once: "Canon EOS R5"."""
    make, model = (str(exif.get(tag, "")).strip("\0 ") for tag in (_MAKE, _MODEL))
    name = model if model.lower().startswith(make.lower()) else f"{make} {model}"
    return printable(name) or None


def printable(text: str) -> str:
    """Return a text of a file as it may be stored and shown: short, without controls."""
    return "".join(c for c in text if c.isprintable()).strip()[:100]
