from datetime import datetime

import pytest
from malformed import encoded
from PIL import Image

from finesight.images.open import decode_image, read_header

RED = (200, 30, 40)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees to see it upright
    image = decode_image(encoded("JPEG", Image.new("RGB", (30, 10), RED), exif=exif))
    assert image.size == (10, 30)


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D90", "NIKON CORPORATION NIKON D90"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("Canon", "Canon EOS R5\0\0", "Canon EOS R5"),
        ("", "", None),
        ("\x07\x1b[31m", "", "[31m"),
    ],
)
def test_the_camera(make, model, camera):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = make, model
    header = read_header(encoded("JPEG", Image.new("RGB", (9, 9)), exif=exif))
    assert header.camera == camera


@pytest.mark.parametrize("date", ["0000:00:00 00:00:00", "yesterday", "", "2020:13:01 00:00:00"])
def test_a_date_that_is_none(date):
    exif = Image.Exif()
    exif[0x0132] = date
    assert read_header(encoded("JPEG", Image.new("RGB", (9, 9)), exif=exif)).taken is None


def test_the_second_date_is_taken_where_the_first_is_none():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "    :  :     :  :  "
    exif[0x0132] = "2020:01:02 03:04:05"
    header = read_header(encoded("JPEG", Image.new("RGB", (9, 9)), exif=exif))
    assert header.taken == datetime(2020, 1, 2, 3, 4, 5)
