"""Colours are named by their pixels, the middle and vivid ones first."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch")

from finesight.research.networks.color_names import (  # noqa: E402
    PALETTE,
    ColorNames,
    color_directions,
)


@pytest.fixture
def names():
    return ColorNames(64, [0.5] * 3, [0.5] * 3)


def best(names, image):
    pixels = torch.from_numpy(np.asarray(image, np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    found = names(pixels)[0].numpy()
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    directions = color_directions()
    return max(PALETTE, key=lambda name: float(directions[name] @ found))


@pytest.mark.parametrize(
    ("name", "shade"), [(name, shade) for name, shades in PALETTE.items() for shade in shades]
)
def test_every_shade_has_its_name(names, name, shade):
    assert best(names, np.full((64, 64, 3), shade)) == name


def test_a_vivid_thing_in_the_middle_of_gray_is_seen(names):
    image = np.full((64, 64, 3), 128)
    image[20:44, 20:44] = (215, 25, 30)
    assert best(names, image) == "red"


def test_other_words_look_for_the_same():
    directions = color_directions()
    np.testing.assert_array_equal(directions["turquoise"], directions["cyan"])
