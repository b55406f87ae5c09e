import io
import zipfile

import numpy as np
import pytest
from malformed import encoded
from PIL import Image

from finesight.images.open import ImageError, decode_image, image_size, read_image

RED = (200, 30, 40)


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (6, 6), color) for color in (RED, (0, 0, 255))]
    data = encoded("GIF", frames[0], save_all=True, append_images=frames[1:])
    red, _, blue = decode_image(data).getpixel((3, 3))
    assert red > 150 > 100 > blue


def test_one_pixel():
    assert decode_image(encoded("PNG", Image.new("RGB", (1, 1), RED))).getpixel((0, 0)) == RED


def test_too_many_pixels_are_refused_before_decoding():
    data = encoded("PNG", Image.new("1", (3000, 2000)))
    with pytest.raises(ImageError, match=r"too large: 3000 x 2000 .* 1,000,000"):
        decode_image(data, max_pixels=1_000_000)


def test_a_bomb_beyond_pillows_own_limit_is_refused():
    header = bytearray(encoded("PNG", Image.new("1", (8, 8))))
    header[16:24] = (100_000).to_bytes(4, "big") * 2
    with pytest.raises(ImageError):
        decode_image(bytes(header))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not an image"),
        (b"\xff\xd8\xff\xe0garbage", "not an image|damag"),
    ],
)
def test_what_is_not_an_image(data, reason):
    with pytest.raises(ImageError, match=reason):
        decode_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_truncated_files(kind):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(kind, Image.fromarray(noise))
    with pytest.raises(ImageError):
        decode_image(data[: len(data) // 2])


def test_a_missing_file(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path / "nothing.jpg")


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_size_is_that_of_the_upright_image_without_decoding(tmp_path, orientation):
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    assert image_size(data) == decode_image(data).size
    assert image_size(data[:-20]) == image_size(data)
    with pytest.raises(ImageError, match="not an image"):
        image_size(b"text")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_jpeg_file_may_come_smaller_and_shows_the_same(tmp_path, suffix):
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[:, 200:] = (200, 100, 50)
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    data = (tmp_path / f"a.{suffix}").read_bytes()
    small = decode_image(data, shrink=4)
    assert small.size == ((100, 50) if suffix == "jpg" else (400, 200))
    assert np.abs(np.asarray(small.resize((8, 4)), int)[:, 5:] - (200, 100, 50)).max() < 12


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "HEIF"])
def test_newer_formats(kind):
    if kind == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif", reason="writing HEIC needs pillow-heif")
        buffer = io.BytesIO()
        pillow_heif.from_pillow(Image.new("RGB", (64, 48), RED)).save(buffer)
        data = buffer.getvalue()
    else:
        data = encoded(kind, Image.new("RGB", (64, 48), RED))
    image = decode_image(data)
    assert (image_size(data), image.size, image.mode) == ((64, 48), (64, 48), "RGB")
    assert np.abs(np.array(image.getpixel((9, 9))) - RED).max() < 12


def test_heic_without_its_package_says_how_to_read_it(monkeypatch):
    monkeypatch.setattr("finesight.images.open.reads_heif", lambda: False)
    with pytest.raises(ImageError, match="pip install pi-heif"):
        decode_image(b"\0\0\0\x1cftypheic" + bytes(100))


def test_formats_that_run_other_programs_are_not_opened():
    with pytest.raises(ImageError, match="not supported"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")


def test_the_limit_can_be_raised_beyond_pillows_own(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = encoded("PNG", Image.new("1", (300, 200)))
    assert decode_image(data).size == (300, 200)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_an_image_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/b.png", encoded("PNG", Image.new("RGB", (7, 5), RED)))
    assert read_image(tmp_path / "a.zip" / "in" / "b.png").size == (7, 5)
    with pytest.raises(ImageError, match="holds no such file"):
        read_image(tmp_path / "a.zip" / "c.png")
