"""Thumbnails for the page."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from finesight.images.open import ImageError
from finesight.server.thumbnails import Thumbnails, Wanted, stamp_of


@pytest.fixture
def photo(tmp_path):
    """A photo of 1200 x 800 with a red square of 60 pixels."""
    image = Image.new("RGB", (1200, 800), (90, 120, 150))
    image.paste((220, 20, 20), (600, 400, 660, 460))
    image.save(tmp_path / "photo.jpg", quality=95)
    return tmp_path / "photo.jpg"


def opened(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_a_decoder_that_shrinks_shows_the_same(photo):
    small = opened(Thumbnails(10**6).get(Wanted(photo, "", 300)))
    full = opened(photo.read_bytes()).resize((300, 200), Image.Resampling.LANCZOS)
    assert small.size == (300, 200)
    difference = np.abs(np.asarray(small, float) - np.asarray(full, float))
    assert difference.mean() < 2


def test_a_part_keeps_its_pixels(photo):
    box = (600 / 1200, 400 / 800, 660 / 1200, 460 / 800)
    part = opened(Thumbnails(10**6).get(Wanted(photo, "", 200, box)))
    assert part.size == (60, 60)
    assert np.asarray(part)[20:40, 20:40].mean(axis=(0, 1)) == pytest.approx((220, 20, 20), abs=8)


def test_the_smallest_part_is_a_pixel(photo):
    part = opened(Thumbnails(10**6).get(Wanted(photo, "", 200, (0.99999, 0.99999, 1, 1))))
    assert part.size == (1, 1)


def test_a_photo_that_lies_on_its_side_stands_upright(tmp_path):
    image = Image.new("RGB", (80, 40), "white")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "side.jpg", exif=exif)
    assert opened(Thumbnails(10**6).get(Wanted(tmp_path / "side.jpg", "", 64))).size == (32, 64)


def test_what_is_kept_stays_within_the_budget(photo):
    thumbnails = Thumbnails(10_000)
    made = [thumbnails.get(Wanted(photo, "", size)) for size in range(100, 600, 50)]
    assert sum(map(len, made)) > 10_000
    kept = thumbnails._kept
    assert kept._used == sum(map(len, kept._values.values())) <= 10_000
    photo.unlink()
    assert thumbnails.get(Wanted(photo, "", 550)) == made[-1]
    with pytest.raises(ImageError, match="gone"):
        thumbnails.get(Wanted(photo, "", 100))
    with pytest.raises(ImageError, match="gone"):
        stamp_of(photo)


def test_an_image_inside_an_archive_is_shown(photo, tmp_path):
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(photo, "summer/photo.jpg")
    inside = archive / "summer" / "photo.jpg"
    assert stamp_of(inside) == stamp_of(archive)
    shown = Thumbnails(10**6).get(Wanted(inside, stamp_of(inside), 300))
    assert shown == Thumbnails(10**6).get(Wanted(photo, "", 300))
    with pytest.raises(ImageError, match="gone"):
        Thumbnails(10**6).get(Wanted(archive / "other.jpg", "", 300))
