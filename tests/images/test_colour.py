import numpy as np
import pytest
from malformed import encoded
from PIL import Image

from finesight.images.open import decode_image

RED = (200, 30, 40)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "LA"])
def test_any_mode_becomes_rgb(mode):
    image = decode_image(encoded("PNG", Image.new("RGB", (7, 5), RED).convert(mode)))
    assert (image.mode, image.size) == ("RGB", (7, 5))


def test_cmyk_becomes_rgb():
    image = decode_image(encoded("JPEG", Image.new("RGB", (8, 8), RED).convert("CMYK")))
    assert image.mode == "RGB"
    assert np.abs(np.array(image.getpixel((4, 4))) - RED).max() < 12


def test_sixteen_bits_are_scaled_by_their_range():
    samples = np.full((4, 4), 128 * 257, np.uint16)
    assert decode_image(encoded("PNG", Image.fromarray(samples))).getpixel((0, 0)) == (
        128,
        128,
        128,
    )


def test_transparency_is_laid_on_white():
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert decode_image(encoded("PNG", image)).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    assert decode_image(encoded("PNG", palette, transparency=b"\x00")).getpixel((0, 0)) == (
        255,
        255,
        255,
    )
