"""Reads a very large image tile by tile, so that it never lies in memory as a whole."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from finesight.images.open import MAX_PIXELS, ImageError, decode_image

PixelBox = tuple[int, int, int, int]
"""xyxy in pixels of the upright image."""

# Below this many pixels an image is decoded at once: 3 bytes a pixel.
_AT_ONCE = 50_000_000


def open_tiles(
    data: bytes | Path, size: tuple[int, int], max_pixels: int
) -> Callable[[PixelBox], Image.Image]:
    """Return a function that reads boxes of an upright image, in RGB.

    data: a file's bytes or path; size: upright, in pixels, as its header says. libvips reads
    beyond 50 million pixels where it is installed; without it, larger ones than Pillow's limit
    are refused. Raises ImageError, and so does the function.
    """
    pixels = size[0] * size[1]
    if pixels > _AT_ONCE and reads_tiles():
        return _read_by_vips(data, size)
    if pixels > MAX_PIXELS:
        raise ImageError(
            f"too large: {size[0]} x {size[1]} pixels need one more package to be read in tiles: "
            "pip install 'finesight[large]'"
        )
    image = decode_image(data, max_pixels)
    if image.size != size:
        raise ImageError("damaged or truncated: its header gives another size")
    return image.crop


def reads_tiles() -> bool:
    """Whether images can be read tile by tile: libvips is there."""
    try:
        import pyvips
    except (ImportError, OSError):  # OSError: the package is there, its library is not
        return False
    pyvips.cache_set_max(0)  # else a file that was read stays open, and its unpacked copy on disk
    return True


def _read_by_vips(data: bytes | Path, size: tuple[int, int]) -> Callable[[PixelBox], Image.Image]:
    import pyvips

    # Any part can be asked for: what is not stored in tiles is unpacked to a temporary file.
    options = {"access": "random", "fail_on": "truncated"}
    try:
        if isinstance(data, bytes):
            image = pyvips.Image.new_from_buffer(data, "", **options)
        else:
            image = pyvips.Image.new_from_file(str(data), **options)
        image = _in_rgb(image.autorot())
    except pyvips.Error as error:
        raise ImageError(_reason(error)) from error
    if (image.width, image.height) != size:
        raise ImageError("damaged or truncated: its header gives another size")

    def read(box: PixelBox) -> Image.Image:
        x0, y0, x1, y1 = box
        try:
            return Image.fromarray(image.crop(x0, y0, x1 - x0, y1 - y0).numpy())
        except pyvips.Error as error:
            raise ImageError(_reason(error)) from error

    return read


def _in_rgb(image):  # type: ignore[no-untyped-def]  # pyvips has no types
    """Return 8-bit RGB: transparency on white, 16-bit samples by their range, the first 3 bands."""
    if image.interpretation in ("multiband", "b-w") and image.bands >= 3:
        sixteen = image.format == "ushort"
        image = image.extract_band(0, n=3).copy(interpretation="rgb16" if sixteen else "srgb")
    if image.hasalpha():
        background = 65535 if image.format == "ushort" else 255
        image = image.flatten(background=background)
    image = image.colourspace("srgb")
    image = image.extract_band(0, n=3) if image.bands > 3 else image
    return image.cast("uchar")


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["unknown"]
    return f"damaged or truncated: {lines[-1].strip()}"
