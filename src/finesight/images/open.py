"""Open any image file safely, upright and in RGB, or say why not."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from finesight.errors import DataError
from finesight.images import exif
from finesight.images.archives import ArchiveError, read_member
from finesight.images.colour import to_rgb
from finesight.types import WHOLE, Box

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ppm"}
    | {".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k"}
)
"""File name endings that are taken for images, in lower case."""

MAX_PIXELS = 178_956_970
"""Largest width x height that is decoded: Pillow's own limit for a decompression bomb."""

# Pillow knows more, but some of them run other programs, or are documents rather than images.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF")
_HEIF = "HEIF"

# Pillow warns about large files while it reads the header, and refuses larger ones. The limit
# below is ours, so both are set aside there; the filters of `warnings` and Pillow's limit are
# shared by all threads, hence the lock.
_header_lock = threading.Lock()


class ImageError(DataError):
    """A file that is not a readable image; the message is the reason, without the path."""


@dataclass(frozen=True)
class Picture:
    """Decoded RGB pixels, and what is known of the file that they are from.

    file_size: width and height of the file, where it was decoded smaller; box: the part of the file
    that the pixels show.
    """

    image: Image.Image
    file_size: tuple[int, int] | None = None
    path: Path | None = None
    box: Box = WHOLE

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the file, or of the part of it that is shown."""
        return self.file_size or self.image.size


@dataclass(frozen=True)
class Header:
    """What an image file says of itself: the upright size in pixels, camera and its local time."""

    width: int
    height: int
    orientation: int
    taken: datetime | None
    camera: str | None


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return the first frame of an image file: RGB, upright by its EXIF orientation.

    path: of a file, or of a member of a zip or tar file as if that were a folder. Transparency
    is laid on white, 16-bit and floating-point samples are scaled to 8 bits. Raises ImageError
    with the reason where that cannot be done.
    """
    try:
        member = read_member(path)
        data = path.read_bytes() if member is None else member
    except ArchiveError as error:
        raise ImageError(str(error)) from error
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from error
    return decode_image(data, max_pixels)


def image_size(data: bytes | Path) -> tuple[int, int]:
    """Return width and height of an image file's upright first frame, from its header alone."""
    header = read_header(data)
    return header.width, header.height


def read_header(data: bytes | Path, max_pixels: int = MAX_PIXELS) -> Header:
    """Return what an image file (its bytes or its path) says of itself, without decoding it."""
    with _reasons(max_pixels), _open(data, max_pixels) as image:
        tags = exif.read_exif(image)
        turned = exif.orientation(tags)
        size = image.size[::-1] if turned >= 5 else image.size
        return Header(*size, turned, exif.taken(tags), exif.camera(tags))


def decode_image(data: bytes | Path, max_pixels: int = MAX_PIXELS, shrink: int = 1) -> Image.Image:
    """Decode an image file (its bytes or its path), as `read_image` does.

    shrink: 2, 4 or 8 where the image may come that many times smaller; a JPEG file then does, in a
    fraction of the time, other files do not.
    """
    with _reasons(max_pixels), _open(data, max_pixels) as image:
        if shrink > 1:
            image.draft("RGB", (image.width // shrink, image.height // shrink))
        image.load()
        return to_rgb(exif.upright(image, exif.orientation(exif.read_exif(image))))


def _open(data: bytes | Path, max_pixels: int) -> Image.Image:
    formats = [*_FORMATS, _HEIF] if reads_heif() else list(_FORMATS)
    with _header_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, "r", formats)
        except UnidentifiedImageError as error:
            raise ImageError(_why_not_known(data)) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise ImageError(
            f"too large: {width} x {height} pixels, the limit is {max_pixels:,} pixels"
        )
    return image


def reads_heif() -> bool:
    """Whether HEIC can be read; teach Pillow HEIC, once, if its reader is installed."""
    if _HEIF in Image.OPEN:
        return True
    try:
        import pi_heif
    except ImportError:
        return False
    Image.preinit()
    pi_heif.register_heif_opener()
    return True


def _why_not_known(data: bytes | Path) -> str:
    with data.open("rb") if isinstance(data, Path) else io.BytesIO(data) as file:
        start = file.read(32)
    if not start:
        return "empty file"
    if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"mif1", b"hevc", b"msf1"):
        if not reads_heif():
            return "HEIC, which needs one more package: pip install pi-heif"
        return "damaged or truncated: no HEIC image in it"
    return "not an image, or of a format that is not supported"


@contextlib.contextmanager
def _reasons(max_pixels: int) -> Iterator[None]:
    """Turn whatever Pillow raises into an ImageError with the reason."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"too large: over the limit of {max_pixels:,} pixels") from error
    except MemoryError as error:
        raise ImageError("too large for the memory of this machine") from error
    # Pillow's decoders raise many kinds of exception on damaged data: OSError, SyntaxError,
    # ValueError, struct.error, IndexError and more. Whichever it is, the file is damaged.
    except Exception as error:
        raise ImageError(f"damaged or truncated: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """Return a decoder's message as it can be shown in a list; some have none, or bytes."""
    what = error.args[0] if error.args else type(error).__name__
    text = what.decode(errors="replace") if isinstance(what, bytes) else str(error)
    return exif.printable(" ".join(text.split()))
