import numpy as np
import pytest
from conftest import ColorEncoder
from PIL import Image

from finesight.proposals.canvas_tiles import encode_tiles
from finesight.proposals.crops import look
from finesight.proposals.geometry import parse_regions
from finesight.proposals.geometry import tiles as geometry
from finesight.proposals.registry import GeometryProposer


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(geometry, "TILE", 64)


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((300, 222))


def test_each_tile_is_looked_at_like_an_image(small_tiles, image):
    encoder, scheme = ColorEncoder(), parse_regions("grid2")
    seen, _ = encode_tiles(image.crop, image.size, encoder, GeometryProposer(scheme))
    places = geometry.tiles(*image.size)
    assert len(seen.boxes) == 5 * (1 + len(places))
    np.testing.assert_allclose(seen.boxes[:5], scheme(*image.size))
    for number, (x0, y0, x1, y1) in enumerate(places, 1):
        rows = slice(5 * number, 5 * number + 5)
        part = look(image.crop((x0, y0, x1, y1)), encoder, scheme)
        np.testing.assert_array_equal(seen.embeddings[rows], part.embeddings)
        whole = seen.boxes[5 * number] * np.array([300, 222] * 2)
        np.testing.assert_allclose(whole, [x0, y0, x1, y1], atol=1e-3)
    assert (seen.boxes >= 0).all()
    assert (seen.boxes <= 1).all()


def test_the_overview_shows_the_whole_image(small_tiles, image):
    scheme = parse_regions("grid2")
    seen, _ = encode_tiles(image.crop, image.size, ColorEncoder(), GeometryProposer(scheme))
    exact = look(image, ColorEncoder(), scheme)
    cosines = (seen.embeddings[:5] * exact.embeddings).sum(axis=1)
    assert cosines.min() > 0.999


def test_the_hash_tells_pixels_apart(small_tiles, image):
    def hashed(pixels):
        scheme = GeometryProposer(parse_regions("full"))
        return encode_tiles(pixels.crop, pixels.size, ColorEncoder(), scheme)[1]

    changed = image.copy()
    changed.putpixel((299, 221), (1, 2, 3))
    assert hashed(image) == hashed(image.copy()) != hashed(changed)
