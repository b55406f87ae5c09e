import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.errors import InputError
from finesight.proposals.geometry import complete_cover, grid, levels
from finesight.proposals.geometry_proposer import parse_regions

# DetailCLIP, Table 12: patches of CC@c for c = 1..15.
PAPER = [1, 5, 14, 30, 39, 66, 79, 103, 136, 166, 187, 248, 273, 315, 355]

sides = st.integers(1, 5000)
spacings = st.sampled_from(["paper", "even"])


@pytest.mark.parametrize(("c", "patches"), list(enumerate(PAPER, 1)))
@pytest.mark.parametrize("spacing", ["paper", "even"])
def test_counts_equal_the_papers_table(c, patches, spacing):
    assert len(complete_cover(640, 480, c, spacing)) == patches


@settings(max_examples=2000, deadline=None)
@given(sides, sides, st.integers(1, 15), spacings)
def test_boxes_lie_in_the_image_for_any_size(width, height, c, spacing):
    boxes = complete_cover(width, height, c, spacing)
    assert len(boxes) == PAPER[c - 1]
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes[0].tolist() == [0, 0, 1, 1]


@settings(max_examples=500, deadline=None)
@given(st.integers(150, 4000), st.integers(2, 15), spacings)
def test_every_level_covers_the_image(side, c, spacing):
    boxes = complete_cover(side, side, c, spacing).astype(float)
    start = 0
    for m, j in levels(c):
        row = boxes[start : start + m]
        start += m * m
        assert row[0, 0] == 0
        assert row[-1, 2] == pytest.approx(1, abs=1e-6)
        assert np.allclose(row[:, 2] - row[:, 0], j / c, atol=1e-6)
        assert (row[1:, 0] <= row[:-1, 2] + 1e-6).all(), "a gap between neighbours"


def test_even_windows_are_evenly_spaced():
    level = complete_cover(100, 100, 10)[1:3]  # two windows of six cells
    np.testing.assert_allclose(level[:, 0], [0, 0.4], atol=1e-6)


def test_paper_windows_step_by_the_window_less_j_minus_one_pixels():
    boxes = complete_cover(640, 640, 10, "paper")
    row = boxes[1 + 4 + 9 + 16 :][:6, 0] * 640  # six windows of two cells, 128 px
    np.testing.assert_allclose(row, [0, 127, 254, 381, 508, 512], atol=1e-3)


def test_grid_cells_touch_and_fill_the_image():
    boxes = grid(300, 200, 10)[1:]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert len(boxes) == 100
    assert areas.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "count"), [("full", 1), ("cc10", 166), ("cc5-paper", 39), ("grid10", 101)]
)
def test_names(name, count):
    assert len(parse_regions(name)(640, 480)) == count


@pytest.mark.parametrize("name", ["", "cc", "cc0", "grid", "grid10-paper", "cc100", "CC10 ", "x"])
def test_unknown_names_are_refused_with_the_choices(name):
    with pytest.raises(InputError, match="cc10"):
        parse_regions(name)


def test_bad_sizes_are_refused():
    with pytest.raises(InputError):
        complete_cover(0, 10, 5)
    with pytest.raises(InputError):
        complete_cover(10, 10, 0)
    with pytest.raises(InputError, match="even"):
        complete_cover(10, 10, 5, "wide")
