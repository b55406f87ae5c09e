"""The preview that a camera puts into its raw files: a JPEG, read by LibRaw."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from finesight.errors import DataError, MissingDependencyError, need
from finesight.images.exif import ORIENTATION
from finesight.images.open import one_line

SUFFIXES = frozenset(
    {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"}
)
"""File name endings of raw files, in lower case."""

# LibRaw's codes of how the camera was held -> EXIF's orientation.
_TURNED = {3: 3, 5: 8, 6: 6}


class NoPreviewError(DataError):
    """A raw file without a readable preview; the message is the reason, without the path."""


def read_preview(data: bytes | Path) -> bytes:
    """Return the largest preview in a raw file (its bytes or its path), as an image file.

    It says by its EXIF orientation how it is turned. Raises NoPreviewError.
    """
    try:
        rawpy = need("rawpy", "a raw file, which needs one more package", "raw")
    except MissingDependencyError as error:
        raise NoPreviewError(str(error)) from error
    try:
        source = io.BytesIO(data) if isinstance(data, bytes) else str(data)
        with rawpy.imread(source) as raw:
            preview = raw.extract_thumb()
            exif = Image.Exif()
            exif[ORIENTATION] = _TURNED.get(raw.sizes.flip, 1)
    except rawpy.LibRawNoThumbnailError as error:
        raise NoPreviewError("the raw file holds no preview") from error
    except (rawpy.LibRawError, OSError, ValueError) as error:
        raise NoPreviewError(f"damaged or truncated raw file: {one_line(error)}") from error
    if preview.format == rawpy.ThumbFormat.JPEG:
        return _turned(bytes(preview.data), exif)
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(preview.data)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def _turned(jpeg: bytes, exif: Image.Exif) -> bytes:
    """Put the orientation into a JPEG that does not say one: an EXIF segment behind its start."""
    if exif[ORIENTATION] == 1 or not jpeg.startswith(b"\xff\xd8") or b"Exif\0\0" in jpeg[:65_536]:
        return jpeg
    content = exif.tobytes()
    return jpeg[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]
