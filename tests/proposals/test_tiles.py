import itertools

import numpy as np
import pytest
from conftest import ColorEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from finesight.images.open import Picture
from finesight.proposals import encode_proposals, parse_proposer
from finesight.proposals import tiles as module
from finesight.proposals.tiles import LARGE, TILE, encode_tiles, is_large, overview_factor, tiles


def test_a_scan_by_hand():
    assert tiles(8192, 4000) == [
        (0, 0, 4096, 4000),
        (2048, 0, 6144, 4000),
        (4096, 0, 8192, 4000),
    ]
    assert is_large(LARGE + 1, 10)
    assert not is_large(LARGE, LARGE)


@settings(deadline=None)
@given(st.integers(1, 60_000), st.integers(1, 60_000))
def test_tiles_cover_the_image_and_overlap(width, height):
    found = np.array(tiles(width, height))
    factor = overview_factor(width, height)
    assert max(width, height) / factor <= TILE
    assert (found[:, :2] % factor == 0).all()
    assert (found[:, 2:] - found[:, :2] <= TILE).all()
    for low, high, side in ((0, 2, width), (1, 3, height)):
        spans = sorted({(row[low], row[high]) for row in found.tolist()})
        assert (spans[0][0], spans[-1][1]) == (0, side)
        for (_, end), (start, _) in itertools.pairwise(spans):
            assert end - start >= TILE / 8 - factor


@pytest.mark.parametrize("size", [(100, 100), (4096, 4096), (1, 4096)])
def test_what_fits_is_one_tile(size):
    assert tiles(*size) == [(0, 0, *size)]


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(module, "TILE", 64)


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((300, 222))


def test_each_tile_is_encoded_like_an_image(small_tiles, image):
    encoder, proposer = ColorEncoder(), parse_proposer("grid2")
    seen, _ = encode_tiles(image.crop, image.size, encoder, proposer)
    places = tiles(*image.size)
    assert len(seen.boxes) == 5 * (1 + len(places))
    np.testing.assert_allclose(seen.boxes[:5], proposer.regions(*image.size))
    for number, (x0, y0, x1, y1) in enumerate(places, 1):
        rows = slice(5 * number, 5 * number + 5)
        part = encode_proposals(Picture(image.crop((x0, y0, x1, y1))), encoder, proposer)
        np.testing.assert_array_equal(seen.embeddings[rows], part.embeddings)
        whole = seen.boxes[5 * number] * np.array([300, 222] * 2)
        np.testing.assert_allclose(whole, [x0, y0, x1, y1], atol=1e-3)
    assert (seen.boxes >= 0).all()
    assert (seen.boxes <= 1).all()


def test_the_overview_shows_the_whole_image(small_tiles, image):
    proposer = parse_proposer("grid2")
    seen, _ = encode_tiles(image.crop, image.size, ColorEncoder(), proposer)
    exact = encode_proposals(Picture(image), ColorEncoder(), proposer)
    cosines = (seen.embeddings[:5] * exact.embeddings).sum(axis=1)
    assert cosines.min() > 0.999


def test_the_hash_tells_pixels_apart(small_tiles, image):
    def hashed(pixels):
        return encode_tiles(pixels.crop, pixels.size, ColorEncoder(), parse_proposer("full"))[1]

    changed = image.copy()
    changed.putpixel((299, 221), (1, 2, 3))
    assert hashed(image) == hashed(image.copy()) != hashed(changed)
