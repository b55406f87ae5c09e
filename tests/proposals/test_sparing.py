"""No window is left out that shows something which its parent does not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from finesight.encoders import Preprocessing
from finesight.images.open import Picture
from finesight.proposals import parse_proposer
from finesight.proposals.geometry import complete_cover
from finesight.proposals.sparing import detail, seen_in, windows_that_add

PREPROCESSING = Preprocessing(16, (0.5,) * 3, (0.5,) * 3)


def scene(seed, patches):
    """Flat ground with some patches of noise on it."""
    rng = np.random.default_rng(seed)
    pixels = np.full((120, 160, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(patches):
        side = int(rng.integers(2, 40))
        x, y = rng.integers(0, 160 - side), rng.integers(0, 120 - side)
        pixels[y : y + side, x : x + side] = rng.integers(0, 256, (side, side, 3))
    return Image.fromarray(pixels)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4), st.integers(0, 60), st.integers(2, 6))
def test_what_is_left_out_was_shown_by_a_larger_window(seed, patches, tolerance, cells):
    image = scene(seed, patches)
    boxes = complete_cover(*image.size, cells)
    crops = PREPROCESSING.cut(image, boxes)
    kept = windows_that_add(boxes, crops, tolerance)
    assert kept[0] == 0 and (np.diff(kept) > 0).all()
    for index in set(range(len(boxes))) - set(kept.tolist()):
        shown = [
            detail(crops[index], seen_in(boxes[index], boxes[k], crops[k]))
            for k in kept
            if (boxes[k][:2] <= boxes[index][:2] + 1e-5).all()
            and (boxes[k][2:] >= boxes[index][2:] - 1e-5).all()
        ]
        assert min(shown) <= tolerance


def test_even_colour_needs_one_look_and_a_thing_every_look_at_it():
    empty = Image.new("RGB", (160, 160), (90, 120, 60))
    proposer = parse_proposer("cc10~2")
    proposals, crops = proposer.propose(Picture(empty), PREPROCESSING)
    assert proposals.boxes.tolist() == [[0, 0, 1, 1]] and len(crops) == 1
    thing = empty.copy()
    thing.paste((255, 0, 0), (72, 88, 76, 92))
    proposals, crops = proposer.propose(Picture(thing), PREPROCESSING)
    assert len(crops) == len(proposals.boxes) < proposer.forward_passes(160, 160)
    smallest = proposals.boxes[(proposals.boxes[:, 2] - proposals.boxes[:, 0]) < 0.11]
    # The one window of the finest level that holds the thing whole, and none that is empty.
    np.testing.assert_allclose(smallest, [[0.4, 0.5, 0.5, 0.6]], atol=1e-6)


def test_no_tolerance_leaves_out_what_is_the_same_and_nothing_else():
    noise = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    )
    proposals, _ = parse_proposer("cc5~0").propose(Picture(noise), PREPROCESSING)
    assert len(proposals.boxes) == len(complete_cover(160, 160, 5))


def test_other_fits_get_their_own_crops():
    image = scene(3, 3)
    padded = Preprocessing(16, (0.5,) * 3, (0.5,) * 3, fit="pad")
    proposer = parse_proposer("cc4~10")
    proposals, crops = proposer.propose(Picture(image), padded)
    assert np.array_equal(proposals.boxes, proposer.propose(Picture(image), PREPROCESSING)[0].boxes)
    assert np.array_equal(crops, padded.cut(image, proposals.boxes))
