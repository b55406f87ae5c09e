"""Open any image file safely, upright and in RGB, or say why not."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from finesight.errors import DataError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ppm"}
)
"""File name endings that are taken for images, in lower case."""

MAX_PIXELS = 178_956_970
"""Largest width x height that is decoded: Pillow's own limit for a decompression bomb."""

_ORIENTATION = 0x0112  # EXIF's tag; 5 to 8 lay the image on its side

# Pillow warns about large files while it reads the header. The limit below is ours, so the
# warning is hidden; the filters of `warnings` are shared by all threads, hence the lock.
_header_lock = threading.Lock()


class ImageError(DataError):
    """A file that is not a readable image; the message is the reason, without the path."""


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return the first frame of an image file: RGB, upright by its EXIF orientation.

    Transparency is laid on white, 16-bit and floating-point samples are scaled to 8 bits.
    Raises ImageError with the reason where that cannot be done.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from error
    return decode_image(data, max_pixels)


def image_size(data: bytes) -> tuple[int, int]:
    """Return width and height of an image file's upright first frame, from its header alone."""
    with _reasons(MAX_PIXELS):
        image = _open(data, MAX_PIXELS)
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        return (image.height, image.width) if turned else image.size


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS, shrink: int = 1) -> Image.Image:
    """Decode the bytes of an image file, as `read_image` does.

    shrink: 2, 4 or 8 where the image may come that many times smaller; a JPEG file then does, in a
    fraction of the time, other files do not.
    """
    with _reasons(max_pixels):
        image = _open(data, max_pixels)
        if shrink > 1:
            image.draft("RGB", (image.width // shrink, image.height // shrink))
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise ImageError("empty file")
    with _header_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data))
        width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"too large: {width} x {height} pixels, the limit is {max_pixels:,} pixels"
        )
    return image


@contextlib.contextmanager
def _reasons(max_pixels: int) -> Iterator[None]:
    """Turn whatever Pillow raises into an ImageError with the reason."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError("not an image, or of a format that is not supported") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"too large: over the limit of {max_pixels:,} pixels") from error
    except MemoryError as error:
        raise ImageError("too large for the memory of this machine") from error
    # Pillow's decoders raise many kinds of exception on damaged data: OSError, SyntaxError,
    # ValueError, struct.error, IndexError and more. Whichever it is, the file is damaged.
    except Exception as error:
        raise ImageError(f"damaged or truncated: {error}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit samples by their range, 32-bit and float samples by what they hold."""
    samples = np.asarray(image, dtype=np.float32)
    if image.mode.startswith("I;16") or (
        samples.size and samples.min() >= 0 and 255 < samples.max() <= 65535
    ):
        samples = samples / 257.0
    elif samples.size and (samples.min() < 0 or samples.max() > 255):
        low, high = float(samples.min()), float(samples.max())
        samples = (samples - low) * (255.0 / (high - low))
    return Image.fromarray(np.clip(np.rint(samples), 0, 255).astype(np.uint8))
