import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.errors import InputError
from finesight.proposals.geometry import complete_cover, cover, cover_rate

WHOLE = np.array([[0, 0, 1, 1]], np.float32)


def slow_rate(windows, width, height, boxes, r):
    """The definition, box by box."""
    covered = 0
    for box in boxes:
        size = max(box[2] - box[0], box[3] - box[1])
        for x0, y0, x1, y1 in windows * np.array([width, height] * 2):
            inside = x0 <= box[0] and y0 <= box[1] and box[2] <= x1 and box[3] <= y1
            if inside and max(x1 - x0, y1 - y0) <= r * size:
                covered += 1
                break
    return covered / len(boxes)


def test_the_rate_is_what_the_definition_says():
    from finesight.proposals.geometry import _random_boxes

    windows = complete_cover(400, 300, 6)
    boxes = _random_boxes(400, 300, (20, 300), 300, seed=3)
    slow = slow_rate(windows, 400, 300, boxes, 3.0)
    assert 0.05 < slow < 0.95
    assert cover_rate(windows, 400, 300, (20, 300), 3.0, 300, seed=3) == pytest.approx(
        slow, abs=0.01
    )


@settings(deadline=None, max_examples=15)
@given(
    width=st.integers(40, 1500),
    height=st.integers(40, 1500),
    share=st.floats(0.05, 0.6),
    r=st.floats(1.5, 6.0),
    rate=st.sampled_from([0.7, 0.9, 0.95, 1.0]),
)
def test_a_cover_reaches_the_rate_it_was_built_for(width, height, share, r, rate):
    smallest = max(1.0, share * min(width, height))
    windows = cover(width, height, smallest, r, rate)
    assert windows.shape[1] == 4
    assert np.array_equal(windows[:1], WHOLE)
    assert windows.min() >= 0 and windows.max() <= 1
    assert (windows[:, 2:] > windows[:, :2]).all()
    longest = float(max(width, height))
    # Other boxes than those it was built with, so a little less is allowed.
    found = cover_rate(windows, width, height, (smallest, longest), r, 3000, seed=1)
    assert found >= rate - 0.02


def test_smaller_objects_and_higher_rates_need_more_windows():
    counts = [len(cover(2000, 1500, smallest, 4.0)) for smallest in (400, 200, 100, 50)]
    assert counts == sorted(counts) and counts[0] < counts[-1]
    assert len(cover(2000, 1500, 100, 4.0, 0.7)) < len(cover(2000, 1500, 100, 4.0, 1.0))


def test_it_covers_more_than_complete_cover_with_no_more_windows():
    complete = complete_cover(640, 640, 10)
    r, smallest = 4.0, 22.0
    ours = next(
        windows
        for rate in (0.95, 0.9, 0.85, 0.8, 0.7, 0.6)
        if len(windows := cover(640, 640, smallest, r, rate)) <= len(complete)
    )
    sizes = (smallest, 640.0)
    assert cover_rate(ours, 640, 640, sizes, r) > cover_rate(complete, 640, 640, sizes, r)


def test_what_makes_no_sense_is_refused():
    for smallest, r, rate in ((0.5, 4, 0.9), (20, 1.0, 0.9), (20, 4, 0.0), (20, 4, 1.1)):
        with pytest.raises(InputError, match="a cover needs"):
            cover(100, 100, smallest, r, rate)
    with pytest.raises(InputError, match="at least 1 x 1"):
        cover(0, 100, 20, 4)
    with pytest.raises(InputError, match="r >= 1"):
        cover_rate(WHOLE, 100, 100, (10, 20), 0.5)
