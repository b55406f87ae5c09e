"""Draws hits: an image with the box of its best region, and a sheet of several."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from finesight.errors import InputError
from finesight.images.open import ImageError, read_image
from finesight.types import Box, Hit

_COLOR = (255, 45, 85)
_THUMB = 320


def draw_box(image: Image.Image, box: Box) -> Image.Image:
    """Return a copy with a normalised box outlined, a little outside of what it holds."""
    image = image.copy()
    sides = image.size
    line = max(2, round(max(sides) / 250))
    low = [max(box[axis] * sides[axis] - line, 0) for axis in (0, 1)]
    high = [min(box[2 + axis] * sides[axis] + line, sides[axis] - 1) for axis in (0, 1)]
    ImageDraw.Draw(image).rectangle((*low, *high), outline=_COLOR, width=line)
    return image


def data_url(image: Image.Image, side: int, quality: int = 90) -> str:
    """Return an RGB image as a JPEG in a data URL, its longer side at most so many pixels."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.convert("RGB").save(file, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def save_hits(hits: Sequence[Hit], folder: Path) -> int:
    """Save each hit with its box drawn and a contact sheet; return how many were saved.

    An image that can no longer be read is left out. Raises InputError where the folder cannot
    be written to.
    """
    drawn = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for hit in hits:
            try:
                image = draw_box(read_image(hit.path), hit.box)
            except ImageError:
                continue
            image.save(folder / f"{hit.rank:03d}-{hit.path.stem}.jpg", quality=90)
            image.thumbnail((_THUMB, _THUMB))
            drawn.append(image)
        _sheet(drawn).save(folder / "sheet.jpg", quality=88)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
    return len(drawn)


def _sheet(images: Sequence[Image.Image]) -> Image.Image:
    columns = min(4, max(1, len(images)))
    rows = max(1, -(-len(images) // columns))
    sheet = Image.new("RGB", (columns * (_THUMB + 8), rows * (_THUMB + 8)), "white")
    for i, image in enumerate(images):
        sheet.paste(image, ((i % columns) * (_THUMB + 8) + 4, (i // columns) * (_THUMB + 8) + 4))
    return sheet
