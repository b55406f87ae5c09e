import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.proposals.geometry.tiles import LARGE, TILE, is_large, overview_factor, tiles


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
